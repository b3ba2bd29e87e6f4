//! Which engine's shard the current thread is: there, a push must not wait.

use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    static HOME: Cell<usize> = const { Cell::new(0) };
}

/// Names one engine, for as long as anything of it lives.
#[derive(Clone, Debug)]
pub(crate) enum Home {
    /// An engine with threads.
    Threads(Arc<u8>),
    /// An engine that is stepped: whoever pushes is who would have to make room.
    Stepped,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::Threads(Arc::new(0))
    }

    fn id(&self) -> usize {
        match self {
            Self::Threads(name) => Arc::as_ptr(name).addr(),
            Self::Stepped => 0,
        }
    }

    /// The calling thread becomes one of this engine's shards.
    pub(crate) fn enter(&self) {
        HOME.set(self.id());
    }

    /// Whether the calling thread is one of this engine's shards.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self, Self::Stepped) || HOME.get() == self.id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_at_home_in_the_engine_whose_shard_it_is_alone() {
        let (one, other) = (Home::new(), Home::new());
        assert!(!one.is_here());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                one.enter();
                assert!(one.is_here() && one.clone().is_here() && !other.is_here());
            });
        });
        assert!(!one.is_here());
    }

    #[test]
    fn a_stepped_engine_is_at_home_everywhere() {
        assert!(Home::Stepped.is_here());
    }
}
