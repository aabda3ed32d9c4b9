fn main() {
    let log = redspan::logger();
    redspan::info!(target: "till", log, "closed");
    redspan::error!(%log, "closed");
}
