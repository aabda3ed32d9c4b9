//! Metrics of all kinds, with and without labels, closed and capped; their names and places.
#![deny(warnings)]

use redspan::Label;
use redspan::metrics::{Counter, Gauge, Histogram, Labels as _, Metrics, UpDownCounter};

#[derive(Label)]
enum Region {
    Eu,
    Us,
}

#[derive(redspan::Labels)]
struct Placed<'a> {
    region: Region,
    express: bool,
    #[label(cap = 2, name = "shop.tenant")]
    tenant: &'a str,
}

#[derive(redspan::Labels)]
struct By {
    region: Region,
    express: bool,
}

#[derive(redspan::Metrics)]
#[metrics(prefix = "shop")]
struct Shop {
    /// Orders placed,
    /// by everybody.
    ///
    /// Not part of the help text.
    #[metric(unit = "{order}")]
    orders: Counter<Placed<'static>>,
    #[metric(buckets = [-1, 0.5, 20], help = "Worth.", unit = "EUR")]
    basket: Histogram<By>,
    /** Open. */
    open: UpDownCounter,
    #[metric(name = "store.stock", limit = 10)]
    stock: Gauge,
    #[metric(exponential, unit = "s")]
    r#type: Histogram,
}

#[derive(redspan::Metrics)]
struct Empty {}

mod shadowed {
    // What the code around has in scope under the names that generated code uses.
    #![allow(dead_code)]
    enum Option {}
    enum Result {}
    mod core {}
    mod redspan {}

    #[derive(::redspan::Metrics)]
    pub(super) struct Other {
        pub(super) seen: ::redspan::metrics::Counter,
    }
}

fn main() {
    let shop = Shop::register().unwrap();
    // Once more at the same place: the same metrics.
    let again = Shop::register().unwrap();
    for tenant in ["a", "b", "c", "a"] {
        shop.orders.with(&Placed { region: Region::Eu, express: true, tenant }).increment();
    }
    again.orders.with(&Placed { region: Region::Us, express: false, tenant: "b" }).add(2);
    shop.basket.with(&By { region: Region::Us, express: false }).record(0.75);
    shop.open.increment();
    shop.open.decrement();
    shop.stock.set(3.5);
    shop.r#type.record(3.0);
    shadowed::Other::register().unwrap().seen.add(7);
    let Empty {} = Empty::register().unwrap();
    assert_eq!(By::CLOSED, 4);

    let page = redspan::recorder().render_openmetrics();
    for line in [
        "# HELP shop_orders Orders placed, by everybody.",
        "shop_orders_total{express=\"true\",region=\"eu\",shop_tenant=\"a\"} 2",
        "shop_orders_total{express=\"true\",region=\"eu\",shop_tenant=\"__overflow__\"} 1",
        "shop_orders_total{express=\"false\",region=\"us\",shop_tenant=\"b\"} 2",
        "redspan_metric_overflow_total{metric=\"shop.orders\"} 1",
        "# HELP shop_basket_EUR Worth.",
        "shop_basket_EUR_bucket{express=\"false\",region=\"us\",le=\"-1.0\"} 0",
        "shop_basket_EUR_bucket{express=\"false\",region=\"us\",le=\"20.0\"} 1",
        "# HELP shop_open Open.",
        "shop_open 0",
        "shop_store_stock 3.5",
        "# UNIT shop_type_seconds seconds",
        "shop_type_seconds_bucket{le=\"4.0\"} 1",
        "seen_total 7",
    ] {
        assert!(page.lines().any(|shown| shown == line), "{line} is not in\n{page}");
    }

    // Another metric that would have the same name in Prometheus, and one of the same name.
    let taken = redspan::metrics::define("shop_orders").counter::<()>().unwrap_err();
    let said = taken.to_string();
    assert!(said.contains("`shop_orders`") && said.contains("`shop.orders`"), "{said}");
    assert_eq!(said.matches("business.rs:").count(), 2, "{said}");
    let taken = redspan::metrics::define("seen").counter::<()>().unwrap_err().to_string();
    assert!(taken.contains("is already made"), "{taken}");
}
