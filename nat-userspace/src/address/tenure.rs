//! Who had which address from when to when, as it follows from the events.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{Event, EventKind, Time};

/// A time in which one address was in the same hands, or fenced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The address.
    pub address: Ipv4Addr,
    /// How it began. It names the instance that had the address, and the EIP where it was one: without an instance, the
    /// EIP was bound to nothing.
    pub came: Event,
    /// How it ended, if it has.
    pub went: Option<Event>,
}

impl Tenure {
    /// Whether it was so at that moment.
    pub fn covers(&self, moment: Time) -> bool {
        self.came.at <= moment && self.went.as_ref().is_none_or(|went| moment < went.at)
    }

    /// Whether it tells of a fence, and not of a holder.
    pub fn is_fence(&self) -> bool {
        self.came.kind == EventKind::AddressFenced
    }
}

/// What an event means for its address.
enum Turn {
    /// From here on it is in the hands the event names.
    Comes,
    /// From here on it is in nobody's.
    Goes,
    Fenced,
    Unfenced,
    None,
}

fn turn(kind: EventKind) -> Turn {
    match kind {
        EventKind::OrdinaryAssigned
        | EventKind::EipAllocated
        | EventKind::EipBound
        | EventKind::EipUnbound
        | EventKind::Imported
        | EventKind::Converted
        | EventKind::Recorded => Turn::Comes,
        EventKind::OrdinaryReleased | EventKind::EipReleased => Turn::Goes,
        EventKind::AddressFenced => Turn::Fenced,
        EventKind::AddressUnfenced => Turn::Unfenced,
        EventKind::InstanceCreated
        | EventKind::InstanceTerminated
        | EventKind::InstanceMoved
        | EventKind::InstanceRenewed
        | EventKind::InstanceChanged
        | EventKind::EipChanged
        | EventKind::PackageCreated
        | EventKind::PackageChanged
        | EventKind::PackageDeleted
        | EventKind::DuplicateMarked
        | EventKind::DuplicateCleared
        | EventKind::PoolAdded
        | EventKind::PoolDrained
        | EventKind::PoolResumed
        | EventKind::PoolRemoved => Turn::None,
    }
}

/// The tenures that events, ascending, tell of, in the order they began. What ends a tenure names whom it ends for, so
/// the events of one instance are enough for its own.
pub fn tenures(events: impl IntoIterator<Item = Event>) -> Vec<Tenure> {
    let mut found: Vec<Tenure> = Vec::new();
    let (mut held, mut fenced) = (BTreeMap::new(), BTreeMap::new());
    for event in events {
        let Some(address) = event.address else { continue };
        let (open, begins) = match turn(event.kind) {
            Turn::Comes => (&mut held, true),
            Turn::Goes => (&mut held, false),
            Turn::Fenced => (&mut fenced, true),
            Turn::Unfenced => (&mut fenced, false),
            Turn::None => continue,
        };
        if let Some(before) = open.remove(&address).and_then(|index: usize| found.get_mut(index)) {
            before.went = Some(event.clone());
        }
        if begins {
            open.insert(address, found.len());
            // An EIP that is unbound is in its account's hands, no more in the instance's that the event names.
            let instance = event.instance.clone().filter(|_| event.kind != EventKind::EipUnbound);
            let came = match instance {
                Some(_) => event,
                None => Event { instance, vpc: None, private: None, name: None, ..event },
            };
            found.push(Tenure { address, came, went: None });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(revision: u64, kind: EventKind, instance: Option<&str>, eip: Option<&str>) -> Event {
        Event {
            revision,
            at: Time(revision * 10),
            kind,
            address: Some([8, 8, 8, 8].into()),
            instance: instance.map(|id| id.parse().unwrap()),
            eip: eip.map(|id| id.parse().unwrap()),
            account: None,
            vpc: None,
            private: None,
            name: None,
            detail: None,
        }
    }

    fn life() -> Vec<Event> {
        use EventKind::*;
        vec![
            event(1, OrdinaryAssigned, Some("ins-1"), None),
            event(2, OrdinaryReleased, Some("ins-1"), None),
            event(3, EipAllocated, None, Some("eip-1")),
            event(4, AddressFenced, None, None),
            event(5, EipBound, Some("ins-1"), Some("eip-1")),
            event(6, AddressUnfenced, None, None),
            event(7, EipUnbound, Some("ins-1"), Some("eip-1")),
            event(8, EipBound, Some("ins-2"), Some("eip-1")),
        ]
    }

    /// First and last revision, EIP and instance.
    type Shown = (u64, Option<u64>, Option<&'static str>, Option<&'static str>);

    fn shown(tenures: &[Tenure]) -> Vec<Shown> {
        let eip = |event: &'_ Event| event.eip.as_ref().map(|_| "eip-1");
        let instance = |tenure: &'_ Tenure| match tenure.came.instance.as_ref().map(|id| id.as_str()) {
            Some("ins-1") => Some("ins-1"),
            Some(_) => Some("ins-2"),
            None => None,
        };
        let row = |tenure: &Tenure| {
            (tenure.came.revision, tenure.went.as_ref().map(|went| went.revision), eip(&tenure.came), instance(tenure))
        };
        tenures.iter().map(row).collect()
    }

    #[test]
    fn an_address_is_in_one_hand_after_the_other_and_fenced_beside() {
        let found = tenures(life());
        assert_eq!(
            shown(&found),
            [
                (1, Some(2), None, Some("ins-1")),
                (3, Some(5), Some("eip-1"), None),
                (4, Some(6), None, None),
                (5, Some(7), Some("eip-1"), Some("ins-1")),
                (7, Some(8), Some("eip-1"), None),
                (8, None, Some("eip-1"), Some("ins-2")),
            ]
        );
        assert!(found[2].is_fence() && !found[1].is_fence());
        let at = |moment| found.iter().filter(move |tenure| tenure.covers(Time(moment))).map(|it| it.came.revision);
        // The end is no more part of it, and between two holders there is none.
        assert_eq!(at(19).collect::<Vec<_>>(), [1]);
        assert_eq!(at(20).count(), 0);
        assert_eq!(at(55).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(at(1000).collect::<Vec<_>>(), [8]);
    }

    #[test]
    fn the_events_of_one_instance_tell_all_it_had() {
        let mine = life().into_iter().filter(|event| event.instance.as_ref().is_some_and(|id| id.as_str() == "ins-1"));
        let found = tenures(mine);
        let had: Vec<Tenure> = found.into_iter().filter(|tenure| tenure.came.instance.is_some()).collect();
        assert_eq!(shown(&had), [(1, Some(2), None, Some("ins-1")), (5, Some(7), Some("eip-1"), Some("ins-1"))]);
    }
}
