//! stub
pub async fn run<S: cumulet_store::Store>(_make: impl Fn() -> std::sync::Arc<S>) {}
