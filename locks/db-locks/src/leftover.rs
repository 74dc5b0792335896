//! Requests whose callers go away while they are on their way. They cannot be called back, so they are brought to their end: what
//! undoes them must come after them, or they would be done once it has passed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is left of the last request, if its caller went away.
#[derive(Clone, Default)]
pub(crate) struct Leftover(Arc<Mutex<Option<Rest>>>);

impl Leftover {
    /// Runs a request; should it be dropped after it was begun, its rest is kept here.
    pub(crate) fn keep<F>(&self, request: F) -> Kept<F>
    where
        F: Future + Send + 'static,
    {
        Kept { request: Some(Box::pin(request)), begun: false, left: self.clone() }
    }

    /// The rest, if there is one.
    pub(crate) fn take(&self) -> Option<Rest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// See [`Leftover::keep`].
pub(crate) struct Kept<F: Future + Send + 'static> {
    request: Option<Pin<Box<F>>>,
    begun: bool,
    left: Leftover,
}

impl<F: Future + Send + 'static> Future for Kept<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.begun = true;
        let Some(request) = self.request.as_mut() else { return Poll::Pending };
        let polled = request.as_mut().poll(context);
        if polled.is_ready() {
            self.request = None;
        }
        polled
    }
}

impl<F: Future + Send + 'static> Drop for Kept<F> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take().filter(|_| self.begun) {
            let rest: Rest = Box::pin(async move {
                request.await;
            });
            *self.left.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_was_begun_is_kept_and_what_was_not_is_not() {
        let (left, done) = (Leftover::default(), Arc::new(AtomicBool::new(false)));
        let request = || {
            let done = done.clone();
            async move {
                tokio::task::yield_now().await;
                done.store(true, Ordering::Relaxed);
            }
        };
        drop(left.keep(request()));
        assert!(left.take().is_none());
        let mut begun = Box::pin(left.keep(request()));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(begun.as_mut().poll(&mut context).is_pending());
        drop(begun);
        left.take().unwrap().await;
        assert!(done.load(Ordering::Relaxed));
        left.keep(request()).await;
        assert!(left.take().is_none());
    }
}
