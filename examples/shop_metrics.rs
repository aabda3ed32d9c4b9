//! The numbers a shop is run by: `cargo run --example shop_metrics`.
//!
//! Orders, baskets, revenue, inventory and the checkout's funnel as one struct; a connection pool, a
//! price cache, a rate limiter and a mail queue, which the library knows how to measure. A minute of
//! business passes in a second, then the program prints the page that Prometheus would fetch.
//!
//! * `--serve`  goes on, with the page at <http://127.0.0.1:9464/metrics>
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318` the same numbers go to that Collector, with
//! exemplars.

use redspan::metrics::{
    Cache, Counter, Histogram, Metrics, Pool, PoolState, QueueState, RateLimiter, UpDownCounter,
    Values, WorkQueue,
};
use redspan::{Label, Labels, instrumented};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

// ── What is counted ──────────────────────────────────────────────────────────────────────────────

#[derive(Metrics)]
#[metrics(prefix = "shop")]
struct Shop {
    /// Orders placed.
    #[metric(unit = "{order}")]
    orders: Counter<Placed>,
    /// What orders brought in.
    #[metric(unit = "EUR")]
    revenue: Counter<In>,
    /// What a basket was worth when it was paid.
    #[metric(unit = "EUR", buckets = [5, 10, 20, 50, 100, 200, 500])]
    basket: Histogram<In>,
    /// Baskets that are neither paid nor left.
    #[metric(name = "baskets.open", unit = "{basket}")]
    open: UpDownCounter,
    /// How far customers come on their way through the checkout.
    #[metric(name = "checkout.steps", unit = "{customer}")]
    checkout: Counter<Reached>,
    /// How long customers take for it.
    #[metric(name = "checkout.duration", unit = "s", exponential)]
    took: Histogram,
}

#[derive(Clone, Copy, Label)]
enum Region {
    Eu,
    Us,
    Asia,
}

#[derive(Clone, Copy, Label)]
enum Step {
    Basket,
    Address,
    Payment,
    Paid,
}

#[derive(Labels)]
struct Placed {
    region: Region,
    express: bool,
    /// Resellers come and go: only so many are told apart.
    #[label(cap = 20)]
    reseller: &'static str,
}

#[derive(Labels)]
struct In {
    region: Region,
}

#[derive(Labels)]
struct Reached {
    step: Step,
}

// ── The shop ─────────────────────────────────────────────────────────────────────────────────────

struct Service {
    shop: Shop,
    database: Pool,
    prices: Cache,
    limit: RateLimiter,
    mail: WorkQueue,
    stock: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    known_prices: Arc<AtomicU64>,
}

#[derive(Debug, thiserror::Error)]
enum CheckoutError {
    #[error("the customer left at {0:?}")]
    Left(&'static str),
    #[error("{0} is sold out")]
    SoldOut(&'static str),
    #[error("too many at once")]
    Limited,
}

impl Service {
    fn new() -> anyhow::Result<Self> {
        let stock =
            Arc::new(Mutex::new(BTreeMap::from([("tea", 900), ("salt", 40), ("rice", 350)])));
        let shelves = Arc::clone(&stock);
        // Asked for at each scrape: all shelves at one moment.
        redspan::metrics::collect("inventory", move |values: &mut Values| {
            for (item, left) in shelves.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                let stock = values.up_down_counter("shop.inventory").unit("{item}");
                stock.help("Things on the shelf.").label("item", *item).set_u64(*left);
            }
        });
        let known_prices = Arc::new(AtomicU64::new(0));
        let entries = Arc::clone(&known_prices);
        Ok(Service {
            shop: Shop::register()?,
            database: redspan::metrics::pool("orders", || PoolState {
                max: 10,
                open: 6,
                idle: 4,
                waiting: 0,
            })?,
            prices: redspan::metrics::cache("prices", move || entries.load(Relaxed))?,
            limit: redspan::metrics::rate_limiter("checkout", || 25.0)?,
            mail: redspan::metrics::work_queue("mail", || QueueState {
                workers: 4,
                busy: 3,
                waiting: 17,
            })?,
            stock,
            known_prices,
        })
    }

    /// One customer. The span, and an exemplar with its trace, come with the attribute.
    #[instrumented]
    fn checkout(&self, region: Region) -> Result<f64, CheckoutError> {
        let reached = |step| self.shop.checkout.with(&Reached { step }).increment();
        if fastrand::u8(..100) == 0 {
            self.limit.rejected();
            return Err(CheckoutError::Limited);
        }
        self.limit.allowed();
        self.shop.open.increment();
        let result = self.pay(region, reached);
        self.shop.open.decrement();
        result
    }

    fn pay(&self, region: Region, reached: impl Fn(Step)) -> Result<f64, CheckoutError> {
        reached(Step::Basket);
        let item = ["tea", "salt", "rice"][fastrand::usize(..3)];
        let worth = self.price(item) * f64::from(fastrand::u8(1..20));
        if fastrand::u8(..10) < 2 {
            return Err(CheckoutError::Left("the address"));
        }
        reached(Step::Address);
        if fastrand::u8(..10) < 1 {
            return Err(CheckoutError::Left("the payment"));
        }
        reached(Step::Payment);
        self.take_from_shelf(item)?;
        reached(Step::Paid);
        self.shop.basket.with(&In { region }).record(worth);
        self.shop.revenue.with(&In { region }).add_f64(worth);
        let reseller = ["", "bazaar", "corner shop"][fastrand::usize(..3)];
        self.shop.orders.with(&Placed { region, express: fastrand::bool(), reseller }).increment();
        self.shop.took.record(20.0 + fastrand::f64() * 180.0);
        self.mail.waited(Duration::from_millis(fastrand::u64(1..400)));
        self.mail.ended(fastrand::u8(..50) > 0, Duration::from_millis(fastrand::u64(20..300)));
        Ok(worth)
    }

    fn price(&self, item: &str) -> f64 {
        if fastrand::u8(..10) > 0 {
            self.prices.hit();
        } else {
            self.prices.miss();
            self.prices.loaded(Duration::from_micros(fastrand::u64(300..5_000)));
            self.known_prices.fetch_add(1, Relaxed);
        }
        item.len() as f64
    }

    fn take_from_shelf(&self, item: &'static str) -> Result<(), CheckoutError> {
        self.database.waited(Duration::from_micros(fastrand::u64(5..200)));
        self.database.used(Duration::from_micros(fastrand::u64(300..9_000)));
        let mut stock = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        match stock.get_mut(item) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Ok(())
            }
            _ => Err(CheckoutError::SoldOut(item)),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let serve = std::env::args().any(|argument| argument == "--serve");
    let mut builder = redspan::builder().service_name("shop");
    if serve {
        builder = builder.metrics_at((Ipv4Addr::LOCALHOST, 9464).into());
    }
    let _telemetry = builder.install()?;
    let service = Service::new()?;
    loop {
        for _ in 0..600 {
            // What came of it is in the numbers.
            let _ = service.checkout([Region::Eu, Region::Us, Region::Asia][fastrand::usize(..3)]);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        if !serve {
            break;
        }
    }
    println!("{}", redspan::recorder().render_openmetrics());
    Ok(())
}
