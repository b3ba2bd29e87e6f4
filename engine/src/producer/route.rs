//! One item to several destinations.

use std::hash::BuildHasher;

use smallvec::SmallVec;

use super::Producer;
use crate::error::{PushError, RouteError};
use crate::item::Item;
use crate::lane::Mark;
use crate::ticket::{Ticket, Tickets};
use crate::verdict::Failure;

/// Destinations of one item that are seen to without an allocation.
const FEW: usize = 4;

impl<T: Item, R, E, S: BuildHasher> Producer<T, R, E, S> {
    /// Pushes one item to several destinations: `legs` are its copies, one for each, and a destination is
    /// the key of its leg. All of them are accepted, or none. Returns one ticket on a result for each
    /// destination, in their order. Waits while there is not room for all.
    ///
    /// A leg whose destination is unknown ([`Builder::destinations`](crate::Builder::destinations)) fails
    /// as [`Failure::UnknownDestination`] at once, and the others go. If the engine closes while they are
    /// pushed, those that it has not taken fail as [`Failure::Stopped`]. In the engine's numbers each leg
    /// counts as an item.
    ///
    /// Allocates nothing for up to four legs. For more it allocates four times, if the lower bound of the legs'
    /// [`size_hint`](Iterator::size_hint) is right, and their answers once more.
    ///
    /// # Errors
    ///
    /// [`RouteError`] gives all legs back. Its cause is one of [`push`](Self::push)'s,
    /// [`PushError::NoReplySlot`] if there are not as many slots as legs, or [`PushError::NeverFits`] if one
    /// lane will never have room for all that are meant for it.
    ///
    /// # Panics
    ///
    /// If `legs` does, and as [`try_push`](Self::try_push).
    pub fn route(
        &mut self,
        legs: impl IntoIterator<Item = T>,
    ) -> Result<Tickets<R, E>, RouteError<T>> {
        self.route_or(legs.into_iter().collect(), true)
    }

    /// As [`route`](Self::route), if there is room.
    ///
    /// # Errors
    ///
    /// As [`route`](Self::route), and [`PushError::Full`] while there is not room for all.
    ///
    /// # Panics
    ///
    /// As [`route`](Self::route).
    pub fn try_route(
        &mut self,
        legs: impl IntoIterator<Item = T>,
    ) -> Result<Tickets<R, E>, RouteError<T>> {
        self.route_or(legs.into_iter().collect(), false)
    }

    fn route_or(
        &mut self,
        legs: SmallVec<[T; FEW]>,
        waits: bool,
    ) -> Result<Tickets<R, E>, RouteError<T>> {
        let refuse =
            |cause, legs: SmallVec<[T; FEW]>| Err(RouteError { cause, legs: legs.into_vec() });
        if let Some(refusal) = legs.iter().find_map(|leg| self.entrance.refusal(leg)) {
            return refuse(refusal.of(()), legs);
        }
        // Where each goes; none where nobody knows its destination.
        let mut shards = SmallVec::<[_; FEW]>::with_capacity(legs.len());
        for leg in &legs {
            let known = self.entrance.knows.as_ref().is_none_or(|knows| knows(leg));
            shards.push(known.then(|| self.shard_of(leg)));
        }
        if let Err(cause) = self.room_for_all(&shards, waits) {
            return refuse(cause, legs);
        }
        // A slot for each before the first goes.
        let mut asked = SmallVec::<[_; FEW]>::with_capacity(legs.len());
        for shard in shards.iter().flatten() {
            match self.entrance.ask(*shard) {
                Some(ends) => asked.push(ends),
                None => return refuse(PushError::NoReplySlot(()), legs),
            }
        }
        let mut tickets = Tickets::with_room(shards.len());
        let mut asked = asked.into_iter();
        let mut legs = legs.into_iter();
        let mut accepted = false;
        for &shard in &shards {
            let Some(leg) = legs.next() else { break };
            let Some(shard) = shard else {
                tickets.push_answered(Err(Failure::UnknownDestination));
                continue;
            };
            let Some((answer, ticket)): Option<(_, Ticket<R, E>)> = asked.next() else { break };
            let Self { lane, entrance, .. } = &mut *self;
            let now = || entrance.clock.now().as_nanos();
            match lane.try_push_marked(shard, leg, Mark::Call(answer), now) {
                Ok(()) => accepted = true,
                Err(error) if !accepted && tickets.is_empty() => {
                    let mut cause = None;
                    let leg = PushError::from(error).map(|(leg, _)| cause = Some(leg));
                    let legs = cause.into_iter().chain(legs).collect();
                    return Err(RouteError { cause: leg, legs });
                }
                // Closed meanwhile: with the leg its answer goes, and the ticket says `Stopped`.
                Err(_) => {}
            }
            tickets.push(ticket);
        }
        Ok(tickets)
    }

    /// Looks whether there is room for all legs; waits until then, if it may.
    fn room_for_all(&mut self, shards: &[Option<usize>], waits: bool) -> Result<(), PushError<()>> {
        for (at, &shard) in shards.iter().enumerate() {
            let Some(shard) = shard else { continue };
            if shards[..at].contains(&Some(shard)) {
                continue;
            }
            let legs = shards.iter().filter(|other| **other == Some(shard)).count();
            let room = self.lane.room(shard) >= legs && self.lane.mark_room(shard) >= legs;
            if room {
                continue;
            }
            if self.lane.is_closed(shard) {
                return Err(PushError::Closed(()));
            }
            if legs > self.lane.capacity() || legs > self.lane.mark_capacity() {
                return Err(PushError::NeverFits(()));
            }
            if !waits {
                return Err(PushError::Full(()));
            }
            if self.entrance.home.is_here() {
                return Err(PushError::WouldDeadlock(()));
            }
            self.wait_for_room(shard, legs, legs);
        }
        // One may have closed long ago, or while another was waited for, and have room for all that.
        match shards.iter().flatten().any(|shard| self.lane.is_closed(*shard)) {
            true => Err(PushError::Closed(())),
            false => Ok(()),
        }
    }
}
