//! Who may walk a long list now. A walk leaves the gateway's task to others after each stretch, but many walks at one time
//! would still leave little of it: an account has one, and all accounts together have few, in the order they asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::address::AccountId;

/// Walks at one time.
const WALKS: usize = 2;

/// Who walks, and who waits for it.
pub(super) struct Turns {
    all: Semaphore,
    accounts: Mutex<HashMap<AccountId, Arc<Semaphore>>>,
}

/// A walk that is under way; dropping it lets the next begin.
pub(super) struct Turn<'a> {
    _all: SemaphorePermit<'a>,
    _account: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Turns { all: Semaphore::new(WALKS), accounts: Mutex::default() }
    }
}

impl Turns {
    /// Waits until this account may walk. None once there are no turns any more, which never happens.
    pub(super) async fn take(&self, account: &AccountId) -> Option<Turn<'_>> {
        let own = self.of(account).acquire_owned().await.ok()?;
        let all = self.all.acquire().await.ok()?;
        Some(Turn { _all: all, _account: own })
    }

    fn of(&self, account: &AccountId) -> Arc<Semaphore> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        // Only those are kept that somebody walks by or waits for.
        accounts.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(accounts.entry(account.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn an_account_has_one_turn_and_leaves_the_others_theirs() {
        let turns = Turns::default();
        let [alice, bob, carol]: [AccountId; 3] = ["alice", "bob", "carol"].map(|name| name.parse().unwrap());
        let first = turns.take(&alice).await.unwrap();
        let waiting = turns.take(&alice);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        let second = turns.take(&bob).now_or_never().flatten().unwrap();
        assert!(turns.take(&carol).now_or_never().is_none());
        drop(first);
        let third = waiting.await.unwrap();
        drop((second, third));
        assert!(turns.take(&carol).now_or_never().flatten().is_some());
        assert_eq!(turns.accounts.lock().unwrap().len(), 1);
    }
}
