//! A batch's trace links to its items'.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use engine::{Item, Verdict};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::scene::{Book, Hand, acting, at_rest, handling, stepped};

/// Writes down which span follows from which.
struct Links {
    last: AtomicU64,
    book: Book<(u64, u64)>,
}

impl Subscriber for Links {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.last.fetch_add(1, Relaxed) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.book.note((span.into_u64(), follows.into_u64()));
    }

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Request {
    key: u64,
    pushed_in: tracing::Span,
}

impl Item for Request {
    type Key<'a> = u64;

    fn key(&self) -> u64 {
        self.key
    }
}

#[test]
fn a_batch_follows_from_each_of_its_items_and_from_no_other() {
    let book = Book::new();
    let links = Links { last: AtomicU64::new(0), book: book.clone() };
    tracing::subscriber::with_default(links, || {
        let act = handling(|hand: Hand<'_, Request>| {
            let span = tracing::info_span!("batch", items = hand.len());
            for request in hand.items() {
                span.follows_from(&request.pushed_in);
            }
            let _entered = span.enter();
            hand.settle_each(|_| Verdict::Done(0))
        });
        let (engine, mut producer) = stepped(acting(act));
        for key in [1, 2, 1, 1] {
            let pushed_in = tracing::info_span!("request", key);
            producer.push(Request { key, pushed_in }).expect("room");
        }
        assert_eq!(at_rest(engine).done, 4);
    });
    let mut links = book.take();
    links.sort_unstable_by_key(|link| link.1);
    let [(a, 1), (b, 2), (c, 3), (d, 4)] = links[..] else { panic!("{links:?}") };
    assert!(a == c && c == d && a != b, "{links:?}");
}
