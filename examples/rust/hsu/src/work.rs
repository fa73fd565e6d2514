//! Work that computes.

use std::panic::resume_unwind;

use tokio_util::sync::CancellationToken;

/// Runs what computes, or waits for a disk, in a thread of its own: on the threads that answer calls it
/// would hold up the others. The token that it is given is cancelled when nobody waits any more.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// assert_eq!(6, hsu::blocking(|_unwanted| 2 * 3).await);
/// # }
/// ```
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce(CancellationToken) -> T + Send + 'static,
) -> T {
    let unwanted = CancellationToken::new();
    let told = unwanted.clone().drop_guard();
    let done = tokio::task::spawn_blocking(|| work(unwanted)).await;
    let _ = told.disarm();
    // It was not cancelled: only its panic is left.
    done.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
