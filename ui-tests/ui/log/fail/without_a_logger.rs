fn main() {
    redspan::info!("charged");
    redspan::warn!("charged {}", 17);
}
