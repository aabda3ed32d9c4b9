#[derive(redspan::Labels)]
struct Placed {
    #[label(cap = 0)]
    tenant: String,
    #[label(name = "")]
    express: bool,
    #[label(name = "a.b")]
    first: bool,
    a_b: bool,
    #[label(nmae = "x")]
    le: bool,
}

#[derive(redspan::Labels)]
struct Tuple(bool);

fn main() {
    let _ = Placed { tenant: String::new(), express: true, first: true, a_b: true, le: true };
    let _ = Tuple(true);
}
