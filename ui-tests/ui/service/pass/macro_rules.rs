#![deny(warnings)]

use redspan::instrumented;

macro_rules! service {
    ($(#[$meta:meta])* $vis:vis $name:ident<$lifetime:lifetime> $method:ident($argument:ty) $body:block $item:item) => {
        $vis struct $name<$lifetime>(pub &$lifetime str);

        $(#[$meta])*
        impl<$lifetime> $name<$lifetime> {
            $vis fn $method(&self, _argument: $argument) -> usize $body

            fn text(&self) -> &$lifetime str {
                self.0
            }
        }

        #[instrumented]
        mod written {
            $item
        }
    };
}

service!(
    #[instrumented]
    pub(crate) Greeter<'a> greet(&'static str) { 3 }
    pub fn item() -> &'static str { "item" }
);

fn main() {
    assert_eq!(Greeter("hello").greet("you"), 3);
    assert_eq!(Greeter("hello").text(), "hello");
    assert_eq!(written::item(), "item");
    let mut names: Vec<_> = redspan::catalog().map(|site| site.function()).collect();
    names.sort();
    assert_eq!(names, ["Greeter::greet", "Greeter::text", "item"]);
}
