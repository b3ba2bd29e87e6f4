//! Which engine's shard the current thread is: there, a push must not wait.

use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// Kept for as long as the thread lives, so that no other engine gets the same address.
    static HOME: RefCell<Option<Arc<u8>>> = const { RefCell::new(None) };
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

    /// The calling thread becomes one of this engine's shards, for good.
    pub(crate) fn enter(&self) {
        if let Self::Threads(name) = self {
            HOME.set(Some(Arc::clone(name)));
        }
    }

    /// Whether the calling thread is one of this engine's shards.
    pub(crate) fn is_here(&self) -> bool {
        match self {
            Self::Stepped => true,
            Self::Threads(name) => {
                HOME.with_borrow(|home| home.as_ref().is_some_and(|home| Arc::ptr_eq(home, name)))
            }
        }
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
