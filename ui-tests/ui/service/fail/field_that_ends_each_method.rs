use redspan::instrumented;

struct Session(Option<u8>);

#[instrumented(fields(user = self.0?))]
impl Session {
    fn user(&self) -> Option<u8> {
        self.0
    }

    fn other(&self) -> Option<u8> {
        self.0
    }
}

fn main() {
    let _ = (Session(None).user(), Session(None).other());
}
