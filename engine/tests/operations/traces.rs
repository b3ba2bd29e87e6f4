//! A batch's trace links to its items'.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use engine::{Batch, Handler, Item, Settled, Verdict};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::scene::{Book, run_out, stepped};

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

struct Linking;

impl Handler for Linking {
    type Item = Request;
    type Reply = ();
    type Error = ();

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        let span = tracing::info_span!("batch", items = batch.len());
        for request in batch.items() {
            span.follows_from(&request.pushed_in);
        }
        let _entered = span.enter();
        batch.settle_each(|_| Verdict::Done(()))
    }
}

#[test]
fn a_batch_follows_from_each_of_its_items_and_from_no_other() {
    let book = Book::new();
    let links = Links { last: AtomicU64::new(0), book: book.clone() };
    tracing::subscriber::with_default(links, || {
        let builder = engine::Engine::builder(|_| Linking).shards(engine::Shards::Count(1));
        let (mut engine, mut producer) = stepped(builder);
        for key in [1, 2, 1, 1] {
            let pushed_in = tracing::info_span!("request", key);
            producer.push(Request { key, pushed_in }).expect("room");
        }
        producer.flush().expect("room");
        run_out(&mut engine);
        assert_eq!(engine.snapshot().done, 4);
    });
    let mut links = book.take();
    links.sort_unstable_by_key(|link| link.1);
    let [(a, 1), (b, 2), (c, 3), (d, 4)] = links[..] else { panic!("{links:?}") };
    assert!(a == c && c == d && a != b, "{links:?}");
}
