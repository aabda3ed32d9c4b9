use redspan::Label;

#[derive(Label)]
enum Code {
    HttpError,
    HTTPError,
}

fn main() {}
