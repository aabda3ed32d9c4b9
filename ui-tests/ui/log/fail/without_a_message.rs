fn main() {
    let log = redspan::logger();
    redspan::info!(log);
    redspan::warn!();
}
