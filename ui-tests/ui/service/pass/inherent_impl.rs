#![deny(warnings)]

use redspan::instrumented;

struct Payments {
    charged: u64,
}

#[instrumented(level = "debug")]
impl Payments {
    const LIMIT: u64 = 1_000;

    pub const fn limit() -> u64 {
        Self::LIMIT
    }

    /// No receiver.
    #[must_use]
    pub fn new() -> Self {
        Payments { charged: 0 }
    }

    pub fn by_ref(&self) -> u64 {
        self.charged
    }

    #[instrumented(name = "charge", level = "info", fields(cents))]
    pub async fn by_mut(&mut self, cents: u64) -> Result<u64, String> {
        self.charged += cents;
        Ok(self.charged)
    }

    #[instrumented(off)]
    fn left_out(&self) {}

    #[redspan::instrumented(kind = "client")]
    fn boxed(self: Box<Self>) -> u64 {
        self.charged
    }

    #[allow(clippy::unused_self)]
    fn generic<T: Copy, const N: usize>(&self, values: [T; N]) -> Option<T>
    where
        T: Into<u64>,
    {
        values.first().copied()
    }

    fn into_inner(self) -> u64 {
        self.charged
    }
}

fn sites() -> Vec<(&'static str, &'static str)> {
    let mut sites: Vec<_> = redspan::catalog().map(|site| (site.function(), site.name())).collect();
    sites.sort();
    sites
}

#[tokio::main]
async fn main() {
    assert_eq!(Payments::limit(), 1_000);
    let mut payments = Payments::new();
    assert_eq!(payments.by_mut(3).await, Ok(3));
    assert_eq!(payments.by_ref(), 3);
    payments.left_out();
    assert_eq!(payments.generic([7_u32]), Some(7));
    assert_eq!(Box::new(payments).boxed(), 3);
    assert_eq!(Payments { charged: 5 }.into_inner(), 5);
    assert_eq!(
        sites(),
        [
            ("Payments::boxed", "Payments::boxed"),
            ("Payments::by_mut", "charge"),
            ("Payments::by_ref", "Payments::by_ref"),
            ("Payments::generic", "Payments::generic"),
            ("Payments::into_inner", "Payments::into_inner"),
            ("Payments::new", "Payments::new"),
        ]
    );
    for site in redspan::catalog() {
        let info = site.function() == "Payments::by_mut";
        assert_eq!(site.level(), if info { redspan::Level::INFO } else { redspan::Level::DEBUG });
        assert_eq!(site.red().started(), 1, "{}", site.function());
    }
}
