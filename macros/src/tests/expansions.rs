//! What each shape becomes, as files to be read: `macros/expansions`. After a change of the generated code
//! `REDSPAN_BLESS=1 cargo test -p redspan-macros --features instrument,answers expansions` writes them anew;
//! the difference is then part of the review. With `answers`, as `cargo test` in the workspace has it: what is
//! written without it is less.

use std::path::Path;
use std::{env, fs};

use proc_macro2::TokenStream;
use quote::quote;

use crate::diag::Diag;

fn attribute(args: &str, item: &str) -> TokenStream {
    let mut item = item.parse().expect("tokens");
    let mut diag = Diag::new();
    let expanded = crate::instrumented::expand(args.parse().expect("tokens"), &mut item, &mut diag);
    finished(expanded, diag)
}

fn compat(args: &str, item: &str) -> TokenStream {
    let mut item = item.parse().expect("tokens");
    let mut diag = Diag::new();
    let expanded = crate::compat::expand(args.parse().expect("tokens"), &mut item, &mut diag);
    finished(expanded, diag)
}

fn measured(input: &str) -> TokenStream {
    let mut diag = Diag::new();
    let expanded = crate::measured::expand(input.parse().expect("tokens"), &mut diag);
    let expanded = finished(expanded.measured, diag);
    quote!(
        fn around() {
            let out = #expanded;
        }
    )
}

type Derive = fn(TokenStream, &mut Diag) -> Option<TokenStream>;

fn derived(derive: Derive, item: &str) -> TokenStream {
    let mut diag = Diag::new();
    let expanded = derive(item.parse().expect("tokens"), &mut diag);
    finished(expanded, diag)
}

fn finished(expanded: Option<TokenStream>, diag: Diag) -> TokenStream {
    assert_eq!(diag.errors().len(), 0, "{:?}", diag.errors());
    expanded.expect("an expansion")
}

#[test]
fn expansions() {
    let shapes = [
        (
            "sync",
            attribute("", "fn charge(id: u64, (a, _): (u8, u8)) -> Result<u8, E> { pay(id, a) }"),
        ),
        (
            "sync_with_fields",
            attribute("fields(id, %who)", "fn charge(id: u64, who: &str) { pay(id) }"),
        ),
        ("sync_never", attribute("", "fn stop() -> ! { exit() }")),
        ("sync_plain", attribute("", "fn count(&self) -> usize { self.0.len() }")),
        (
            "track_caller",
            attribute("", "#[track_caller] fn first(items: &[u8]) -> u8 { items[0] }"),
        ),
        (
            "async",
            attribute(
                "",
                "async fn charge(id: u64, _permit: Permit) -> Result<u8, E> { pay(id).await }",
            ),
        ),
        (
            "async_with_fields",
            attribute("fields(id)", "async fn charge(id: u64) { pay(id).await }"),
        ),
        (
            "async_below_an_attribute",
            attribute("", "#[tokio::main] async fn main() { pay(1).await }"),
        ),
        (
            "boxed_future",
            attribute(
                "",
                "fn charge(id: u64) -> BoxFuture<'static, u8> { Box::pin(async move { id }) }",
            ),
        ),
        (
            "future_made_elsewhere",
            attribute("", "fn charge(id: u64) -> impl Future<Output = u8> { pay(id) }"),
        ),
        ("stream", attribute("", "fn items(id: u64) -> BoxStream<'static, u8> { all(id) }")),
        (
            "options",
            attribute(
                "name = \"pay\", level = \"debug\", kind = \"client\", error_if = |n| *n > 1, err = \"type\", \
                 labels(tier, who = capped(who, 10), big = |n| *n > 1), slo(latency = \"250ms\", target = 99.9), \
                 root, links(link), log, sample = 0.5",
                "fn charge(tier: Tier, who: &str, link: SpanContext) -> u8 { 1 }",
            ),
        ),
        (
            "none_is_an_error",
            attribute(
                "none = \"error\", span = false",
                "fn find(id: u64) -> Option<u8> { get(id) }",
            ),
        ),
        (
            "impl_block",
            attribute(
                "",
                "impl Payments { fn open() -> Self { Self } fn charge(&self) {} #[instrumented(off)] fn is(&self) {} }",
            ),
        ),
        (
            "trait_impl",
            attribute("", "impl Gateway for Payments { async fn charge(&self) -> u8 { 1 } }"),
        ),
        (
            "associated_future",
            attribute(
                "",
                "impl Service<u8> for Payments { type Future = Pin<Box<dyn Future<Output = u8> + Send>>; \
                 fn call(&mut self, id: u8) -> Self::Future { Box::pin(async move { id }) } }",
            ),
        ),
        (
            "compat_sync",
            compat("err, fields(x = 1)", "fn charge(id: u64) -> Result<u8, E> { pay(id) }"),
        ),
        (
            "compat_async",
            compat("skip_all, ret", "async fn charge(id: u64) -> u8 { pay(id).await }"),
        ),
        ("measured_block", measured("\"fill\", fields(key), { load(key)? }")),
        ("measured_async", measured("\"fill\", async move { load(key).await }")),
        ("measured_closure", measured("\"fill\", |key: &str| -> Option<u8> { load(key) }")),
        (
            "measured_handler",
            measured("\"fill\", fields(key), |key| async move { load(key).await }"),
        ),
        (
            "derive_instrumented",
            derived(
                crate::derive_instrumented::expand,
                "#[instrumented(name = \"payments\")] struct Payments { #[instrumented(attribute, label)] region: Region }",
            ),
        ),
        (
            "derive_error_type",
            derived(
                crate::error_type::expand,
                "enum E { #[error_type(client)] Declined, Away(#[from] io::Error), #[error_type(\"limit\")] Over { by: u64 } }",
            ),
        ),
        (
            "derive_label",
            derived(crate::label::expand, "enum Tier { Free, #[label(\"gold\")] Paid }"),
        ),
        (
            "derive_labels",
            derived(
                crate::labels::expand,
                "struct Placed { tier: Tier, #[label(cap = 10)] who: String }",
            ),
        ),
        (
            "derive_metrics",
            derived(
                crate::metrics::expand,
                "#[metrics(prefix = \"shop\")] struct Shop { /** Orders. */ orders: Counter<Placed>, #[metric(unit = \"s\", buckets = [1])] took: Histogram }",
            ),
        ),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("expansions");
    let bless = env::var_os("REDSPAN_BLESS").is_some();
    let mut changed = Vec::new();
    for (name, tokens) in shapes {
        let file =
            syn::parse2(tokens.clone()).unwrap_or_else(|error| panic!("{name}: {error}: {tokens}"));
        let text = prettyplease::unparse(&file);
        let path = folder.join(format!("{name}.rs"));
        if fs::read_to_string(&path).is_ok_and(|before| before == text) {
            continue;
        }
        if bless {
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(&path, text).expect("a file");
        } else {
            changed.push(format!("== {name}\n{text}"));
        }
    }
    assert!(
        changed.is_empty(),
        "not as in {}; REDSPAN_BLESS=1 writes them anew:\n{}",
        folder.display(),
        changed.join("\n")
    );
}
