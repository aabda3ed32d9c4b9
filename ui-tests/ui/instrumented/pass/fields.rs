//! Every form of a field, and names bound by patterns.
#![deny(warnings)]

use redspan::instrumented;

struct Order {
    id: u64,
    customer: Option<&'static str>,
}
struct Path<T>(T);
struct Json<T> {
    body: T,
    size: usize,
}

#[instrumented(fields(
    order.id,
    order.customer = ?order.customer,
    id = order.id,
    "quoted name" = order.id + 1,
    type = "kind",
    r#fn = true,
    text = %order.id,
    ?order.customer2,
    later = Empty,
    later2 = tracing::field::Empty,
    sum = { let a = 1; a + 2 },
    list = ?Vec::<(u8, u8)>::new(),
))]
fn forms(order: &Order2) -> u64 {
    order.id
}

struct Order2 {
    id: u64,
    customer: Option<&'static str>,
    customer2: Option<&'static str>,
}

#[instrumented(fields(user.id = id, ?name, size, first = first, n, tail = ?tail, inline = %format!("{inline}")))]
async fn patterns(
    Path(id): Path<u64>,
    Json { body: Order { customer: name, .. }, size, .. }: Json<Order>,
    [first, tail @ ..]: [u8; 3],
    &(n, ref inline): &(u8, String),
    mut count: u8,
) -> u64
where
    Order: Sized,
{
    count += first;
    let _ = (name.is_some(), tail, inline);
    id + size as u64 + u64::from(n) + u64::from(count)
}

#[instrumented(fields(only, _underscored, pair))]
fn only_in_fields(only: u8, _underscored: u8, (pair, _): (u8, u8)) {}

#[instrumented(fields(id))]
fn reference(Order { id, .. }: &Order, mut other: (u8, u8), Json { size, .. }: &mut Json<u8>) -> u64 {
    other.0 += 1;
    *size += 1;
    *id + u64::from(other.0)
}

#[instrumented(fields(limit = *limit))]
fn closures(limit: &mut u64, f: impl Fn(u64) -> u64) -> &mut u64 {
    *limit = f(*limit);
    limit
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("name")
    }
}
struct Name;

#[instrumented(fields(%name, only.text = name.to_string().as_str()))]
fn moved(name: Name) -> Name {
    name
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let order = Order2 { id: 1, customer: None, customer2: Some("b") };
    assert_eq!(forms(&order), 1);
    let _ = (order.customer, order.customer2);
    only_in_fields(1, 2, (3, 4));
    let mut json = Json { body: 1, size: 1 };
    assert_eq!(reference(&Order { id: 1, customer: None }, (1, 2), &mut json), 3);
    assert_eq!(*closures(&mut 1, |n| n + 1), 2);
    let _ = (moved(Name), json.body);
    let json = Json { body: Order { id: 3, customer: Some("c") }, size: 4 };
    let _ = json.body.id;
    let pair = (1, String::from("d"));
    assert_eq!(patterns(Path(1), json, [1, 2, 3], &pair, 5).await, 12);
}
