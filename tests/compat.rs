//! `compat::instrument` by what it promises: tracing's span in the application's own set-up, redspan's own
//! under redspan, and numbers in both.

use opentelemetry::trace::Status;
use redspan::compat::instrument;
use redspan::testing;
use redspan_tests::Lines;
use tracing_subscriber::fmt::format::FmtSpan;

const NAME: &str = "placed";
const LEVEL: tracing::Level = tracing::Level::DEBUG;

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

#[derive(Debug)]
struct Shop {
    open: bool,
}

impl Shop {
    #[instrument(name = NAME, level = LEVEL, skip(card), fields(card.len = card.len(), late), err, ret)]
    async fn place(&self, (cents, count): (u64, u8), card: &str) -> Result<u64, Refused> {
        tokio::task::yield_now().await;
        tracing::Span::current().record("late", "noted");
        tracing::info!(cents, "placing");
        if self.open { Ok(cents * u64::from(count)) } else { Err(Refused) }
    }
}

#[instrument(target = "elsewhere", parent = None)]
fn alone() {}

#[instrument(skip_all, err(level = "warn"))]
fn quietly(fails: bool) -> Result<(), Refused> {
    if fails { Err(Refused) } else { Ok(()) }
}

#[instrument]
fn may_panic(panics: bool) {
    if panics {
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// What a fmt subscriber writes of `work`, without times.
fn written(work: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::NEW)
        .with_writer(lines.for_each())
        .with_ansi(false)
        .without_time()
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let text = lines.text();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn in_the_applications_own_subscriber_it_is_tracings_span() {
    let shop = Shop { open: true };
    let lines = written(|| assert_eq!(block_on(shop.place((5, 2), "visa")).unwrap(), 10));
    let span = "placed{self=Shop { open: true } cents=5 count=2 card.len=4";
    assert_eq!(
        lines,
        [
            format!("DEBUG {span}}}: compat: new"),
            format!("INFO {span} late=\"noted\"}}: compat: placing cents=5"),
            format!("DEBUG {span} late=\"noted\"}}: compat: return=10"),
        ]
    );
    let lines = written(|| tracing::info_span!("above").in_scope(alone));
    assert_eq!(lines[1], "INFO alone: elsewhere: new");
    let lines = written(|| assert!(quietly(true).is_err()));
    assert_eq!(lines[1], "WARN quietly: compat: error=refused");
}

#[test]
fn under_redspan_the_span_is_its_own_with_the_same_contents() {
    let ((), seen) = testing::scope(|| {
        let shop = Shop { open: false };
        assert!(block_on(shop.place((5, 2), "visa")).is_err());
    });
    assert_eq!(seen.calls("place").error, 1);
    let placed = seen.span("placed");
    for (key, value) in [("cents", "5".into()), ("card.len", 4.into()), ("late", "noted".into())] {
        assert_eq!(placed.attribute(key), Some(value), "{placed:?}");
    }
    assert_eq!(*placed.status(), Status::error("refused"));
    assert_eq!(placed.event("placing").name, "placing");
    assert_eq!(placed.attribute("card"), None);
    let ((), seen) = testing::scope(|| {
        redspan::span("above").in_scope(|_| {
            alone();
            assert!(quietly(true).is_err() && quietly(false).is_ok());
        });
    });
    assert_eq!(seen.span("alone").parent_id(), None);
    let spans = seen.spans_named("quietly");
    assert_eq!(spans.len(), 2);
    assert!(matches!(spans[0].status(), Status::Error { .. }));
    assert_eq!(spans[0].event("exception").name, "exception");
    assert_eq!(*spans[1].status(), Status::Unset);
    assert_eq!(seen.parent_of(&spans[0]).unwrap().name(), "above");
}

#[test]
fn every_call_is_counted_with_and_without_a_subscriber() {
    let ((), seen) = testing::scope(|| {
        may_panic(false);
        let panicked = std::panic::catch_unwind(|| may_panic(true));
        assert!(panicked.is_err());
        assert!(quietly(true).is_err());
        let _ = written(|| may_panic(false));
    });
    let calls = seen.calls("may_panic");
    assert_eq!((calls.started, calls.ok, calls.panic, calls.in_flight), (3, 2, 1, 0));
    assert_eq!(seen.calls("quietly").error, 1);
}

/// Tells, when it is dropped, what it is called.
#[derive(Debug)]
struct Told(&'static str, std::rc::Rc<std::cell::RefCell<String>>);

impl Drop for Told {
    fn drop(&mut self) {
        self.1.borrow_mut().push_str(self.0);
    }
}

#[test]
fn parameters_are_dropped_in_the_order_of_the_bare_function() {
    /// The same functions below an attribute, and what each drops in which order.
    macro_rules! orders {
        ($a:ident, $instrument:meta, $with_field:meta) => {{
            #[$instrument]
            #[allow(unused_variables)]
            fn pattern(a: Told, (b, c): (Told, Told), _: Told, (d, _): (Told, Told)) {
                let _ = (&b, &a);
            }
            #[$with_field]
            #[allow(unused_variables)]
            fn field($a: Told, (b, c): (Told, Told), d: Told) {
                let _ = (&$a, &c);
            }
            #[$instrument]
            #[allow(unused_variables)]
            async fn later(a: Told, (b, c): (Told, Told), _: Told, mut d: Told) {
                tokio::task::yield_now().await;
                let _ = (&b, &a);
                d.0 = "D";
            }
            let dropped = std::rc::Rc::default();
            let told = |name| Told(name, std::rc::Rc::clone(&dropped));
            let seen = || std::mem::take(&mut *dropped.borrow_mut());
            let pair = |one, two| (told(one), told(two));
            pattern(told("a"), pair("b", "c"), told("_"), pair("d", "e"));
            let of_pattern = seen();
            field(told("a"), pair("b", "c"), told("d"));
            let of_field = seen();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(later(told("a"), pair("b", "c"), told("_"), told("d")));
            [of_pattern, of_field, seen()]
        }};
    }
    let bare = orders!(a, allow(dead_code), allow(dead_code));
    assert_eq!(bare, ["de_cba", "dcba", "D_cba"]);
    assert_eq!(bare, orders!(a, instrument, instrument(skip_all, fields(a = a.0))));
    let by_hand = orders!(a, instrument(skip_all), instrument(skip(a), fields(a = %a.0)));
    assert_eq!(bare, by_hand);
}

#[test]
fn a_field_may_move_what_the_body_only_seems_to_mention() {
    struct Ticket {
        token: usize,
    }
    fn spent(token: String) -> usize {
        token.len()
    }
    macro_rules! spends {
        ($token:ident, $instrument:meta) => {{
            #[$instrument]
            fn spends($token: String, of: Ticket) -> usize {
                let Ticket { $token: number } = Ticket { $token: of.$token + "token".len() };
                number
            }
            spends("three".to_owned(), Ticket { token: 2 })
        }};
    }
    assert_eq!(spends!(token, tracing::instrument(skip_all, fields(spent = spent(token)))), 7);
    assert_eq!(spends!(token, instrument(skip_all, fields(spent = spent(token)))), 7);
}

#[test]
fn a_field_may_move_what_the_body_has_another_of() {
    fn spent(token: String) -> usize {
        token.len()
    }
    macro_rules! spends {
        ($token:ident, $this:ident, $instrument:meta, $method:meta) => {{
            #[$instrument]
            fn spends($token: String) -> usize {
                let $token = Some(2);
                if let Some($token) = $token { $token } else { 0 }
            }
            #[$instrument]
            async fn later($token: String) -> usize {
                [3].map(|$token| $token)[0]
            }
            struct Ticket(String);
            fn used(ticket: Ticket) -> usize {
                ticket.0.len()
            }
            impl Ticket {
                #[$method]
                async fn method($this, number: usize) -> usize {
                    number
                }
            }
            let three = || "three".to_owned();
            (spends(three()), block_on(later(three())), block_on(Ticket(three()).method(5)))
        }};
    }
    let theirs = spends!(
        token,
        self,
        tracing::instrument(skip_all, fields(spent = spent(token))),
        tracing::instrument(skip_all, fields(used = used(self)))
    );
    let ours = spends!(
        token,
        self,
        instrument(skip_all, fields(spent = spent(token))),
        instrument(skip_all, fields(used = used(self)))
    );
    assert_eq!((theirs, ours), ((2, 3, 5), (2, 3, 5)));
}

#[test]
fn a_field_may_move_what_the_body_assigns_anew_or_the_rest_of_which_it_uses() {
    fn spent(token: String) -> usize {
        token.len()
    }
    macro_rules! spends {
        ($($instrument:ident)::+) => {{
            struct Ticket {
                token: String,
                number: usize,
            }
            #[$($instrument)::+(skip_all, fields(spent = spent(token)))]
            fn anew(mut token: String) -> usize {
                token = String::from("ab");
                token.len()
            }
            #[$($instrument)::+(skip_all, fields(spent = token.into_bytes().len()))]
            async fn later(token: String) -> usize {
                let token = 3;
                token
            }
            #[$($instrument)::+(skip_all, fields(spent = token.into_bytes().len()))]
            fn called(token: String) -> usize {
                let token = 4;
                token
            }
            #[$($instrument)::+(skip_all, fields(spent = spent(ticket.token)))]
            fn rest(ticket: Ticket) -> usize {
                ticket.number
            }
            impl Ticket {
                fn into_used(self) -> usize {
                    self.token.len()
                }
                #[$($instrument)::+(skip_all, fields(spent = spent(self.token)))]
                fn of_self(self) -> usize {
                    self.number
                }
                #[$($instrument)::+(skip_all, fields(used = self.into_used()))]
                fn whole(mut self) -> usize {
                    self = Ticket { token: String::new(), number: 7 };
                    self.number
                }
            }
            let three = || "three".to_owned();
            let ticket = |number| Ticket { token: three(), number };
            let of_tickets = (rest(ticket(5)), ticket(6).of_self(), ticket(0).whole());
            ((anew(three()), block_on(later(three())), called(three())), of_tickets)
        }};
    }
    assert_eq!(spends!(tracing::instrument), ((2, 3, 4), (5, 6, 7)));
    let (ours, seen) = testing::scope(|| spends!(instrument));
    assert_eq!(ours, ((2, 3, 4), (5, 6, 7)));
    for (name, field) in
        [("anew", "spent"), ("called", "spent"), ("rest", "spent"), ("whole", "used")]
    {
        assert_eq!(seen.span(name).attribute(field), Some(5.into()), "{name}");
        assert_eq!((seen.calls(name).ok, seen.calls(name).in_flight), (1, 0), "{name}");
    }
}

#[test]
fn a_body_that_stays_in_its_place_ends_as_any_other() {
    #[instrument(skip_all, fields(spent = Vec::from(token).len()), err)]
    fn placed(token: String, fail: bool) -> Result<(), Refused> {
        let token = Refused;
        if fail { Err(token) } else { panic!("refused") }
    }
    let quietly = |fail| std::panic::catch_unwind(|| placed(String::new(), fail));
    let ((), seen) = testing::scope(|| assert!(quietly(true).is_ok() && quietly(false).is_err()));
    let calls = seen.calls("placed");
    assert_eq!((calls.started, calls.error, calls.panic, calls.in_flight), (2, 1, 1, 0));
}

#[test]
fn what_a_field_only_shows_is_dropped_in_its_turn() {
    macro_rules! dropped {
        ($a:ident, $b:ident, $instrument:meta) => {{
            #[$instrument]
            #[allow(unused_variables, unused_mut)]
            fn shown(mut $a: Told, ($b, c): (Told, Told), d: Told) {
                let _ = (&c, &d);
            }
            let dropped = std::rc::Rc::default();
            let told = |name| Told(name, std::rc::Rc::clone(&dropped));
            shown(told("a"), (told("b"), told("c")), told("d"));
            std::mem::take(&mut *dropped.borrow_mut())
        }};
    }
    let bare = dropped!(a, b, allow(dead_code));
    assert_eq!(bare, "dcba");
    let shown = dropped!(a, b, instrument(skip_all, fields(of = ?a, and = ?b)));
    assert_eq!(shown, bare);
}
