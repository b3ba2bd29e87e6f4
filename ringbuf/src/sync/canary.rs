//! Which orderings and fences a model has passed through, and which one of them is taken away.
//!
//! Only in builds with `--cfg tidegate_loom`. A *site* is a call in this crate's source that names
//! an ordering, or is a fence. The environment variable [`WEAKENED`] names one canary in the form
//! in which [`Canary`] prints: that half of that call then counts as `Relaxed`, a fence as nothing or
//! as one of `AcqRel`, a read-modify-write as a load and a store. A model that still passes does not
//! check that.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

/// The environment variable that names the canary.
pub const WEAKENED: &str = "TIDEGATE_WEAKENED";

/// What of a call is weakened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Half {
    /// What it reads no longer acquires.
    Load,
    /// What it writes no longer releases.
    Store,
    /// A failed exchange no longer acquires.
    Failure,
    /// The fence is not there.
    Fence,
    /// The fence of `SeqCst` is one of `AcqRel`.
    AcqRel,
    /// The read-modify-write is a load and then a store: another's write between the two is lost,
    /// and what an earlier write released is not handed on.
    Rmw,
}

/// One thing that can be taken away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Canary {
    /// The file's name, without its folder.
    pub file: String,
    /// The line of the call, from 1.
    pub line: u32,
    /// The column of the call, from 1.
    pub column: u32,
    /// What of the call.
    pub half: Half,
}

impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = match self.half {
            Half::Load => "load",
            Half::Store => "store",
            Half::Failure => "failure",
            Half::Fence => "fence",
            Half::AcqRel => "acqrel",
            Half::Rmw => "rmw",
        };
        write!(f, "{}:{}:{}#{half}", self.file, self.line, self.column)
    }
}

static ASKED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var(WEAKENED).ok());
/// By address: a call site has one location, and looking it up must be quick.
static SEEN: Mutex<BTreeSet<(usize, Half)>> = Mutex::new(BTreeSet::new());
static KNOWN: Mutex<Vec<(&'static Location<'static>, Half, bool)>> = Mutex::new(Vec::new());

/// False while a model runs in which the light barrier does nothing.
static LIGHT_IS_A_FENCE: AtomicBool = AtomicBool::new(true);

/// Runs `model` with a light barrier that does nothing at all.
///
/// In earnest a light barrier is no fence either: it orders only against a heavy one. As a fence it
/// would stand in for the release orderings of whatever comes after it and hide that they are
/// needed. For models that need no store-load order. Not for two threads at once.
pub fn without_light_fences(model: impl FnOnce()) {
    /// Puts the fences back, also when the model does not hold.
    struct PutBack;

    impl Drop for PutBack {
        fn drop(&mut self) {
            LIGHT_IS_A_FENCE.store(true, Ordering::Relaxed);
        }
    }

    let _put_back = PutBack;
    LIGHT_IS_A_FENCE.store(false, Ordering::Relaxed);
    model();
}

pub(crate) fn light_is_a_fence() -> bool {
    LIGHT_IS_A_FENCE.load(Ordering::Relaxed)
}

/// What the models of this process have passed through so far.
pub fn passed() -> Vec<Canary> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().map(|(at, half, _)| canary(at, *half)).collect()
}

fn canary(at: &Location<'_>, half: Half) -> Canary {
    let file = at.file().rsplit('/').next().unwrap_or_default().to_owned();
    Canary { file, line: at.line(), column: at.column(), half }
}

/// Notes the site, and says whether it is the one that is weakened.
fn is_weakened(at: &'static Location<'static>, half: Half) -> bool {
    let key = (std::ptr::from_ref(at) as usize, half);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.insert(key) {
        let asked = ASKED.as_deref() == Some(&canary(at, half).to_string());
        known.push((at, half, asked));
        return asked;
    }
    // Only while a canary is asked for does the answer matter.
    ASKED.is_some() && known.iter().any(|(place, of, asked)| *asked && *of == half && *place == at)
}

/// The ordering without the given half, if that is the canary.
pub(super) fn weaken(at: &'static Location<'static>, half: Half, order: Ordering) -> Ordering {
    let weaker = match (half, order) {
        (Half::Load | Half::Failure, Ordering::Acquire)
        | (Half::Store, Ordering::Release)
        | (_, Ordering::Relaxed) => Ordering::Relaxed,
        (Half::Load | Half::Failure, Ordering::AcqRel | Ordering::SeqCst) => Ordering::Release,
        (Half::Store, Ordering::AcqRel | Ordering::SeqCst) => Ordering::Acquire,
        _ => order,
    };
    if weaker != order && is_weakened(at, half) { weaker } else { order }
}

/// What is left of a fence.
pub(super) fn weaken_fence(at: &'static Location<'static>, order: Ordering) -> Option<Ordering> {
    if is_weakened(at, Half::Fence) {
        return None;
    }
    let weaker = order == Ordering::SeqCst && is_weakened(at, Half::AcqRel);
    Some(if weaker { Ordering::AcqRel } else { order })
}

/// Whether a read-modify-write stays one step.
pub(super) fn keeps_whole(at: &'static Location<'static>) -> bool {
    !is_weakened(at, Half::Rmw)
}
