// What the compiler says of `self`, of lifetimes and of `!` names what the user wrote, and stands there: no
// message is at the attribute.
use redspan::instrumented;

struct Cart {
    items: Vec<String>,
    owner: String,
}

impl Cart {
    #[instrumented]
    fn add(&self) {
        self.items.push(String::new());
    }

    #[instrumented]
    async fn add_later(&self) {
        self.items.push(String::new());
    }

    #[instrumented]
    fn close(self) -> String {
        drop(self.owner);
        self.owner
    }

    #[instrumented]
    async fn close_later(self) -> String {
        drop(self.owner);
        self.owner
    }

    #[instrumented]
    fn rename(self) {
        self.owner = String::new();
    }

    #[instrumented]
    fn other(&self, name: &str) -> &str {
        name
    }
}

#[instrumented]
fn lengthen<'a, 'b>(short: &'a mut &'b str, other: &'a str) {
    *short = other;
}

#[redspan::compat::instrument(skip_all)]
fn boxed(name: &str) -> Box<dyn std::fmt::Display> {
    Box::new(name)
}

fn main() {}
