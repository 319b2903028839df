//! Lists longer than the page that is wanted of them.
//!
//! Where an index knows the page, only its rows are looked at. Everything else is walked a stretch at a time, with other
//! work of the gateway in between, so that nobody waits for a list of a million. A walk goes on behind the row it came to,
//! so whatever comes and goes meanwhile, no row is told of twice and none that stays is left out.

use serde_json::Value;

use super::page::Page;

/// Rows looked at in one stretch, about a millisecond of the gateway's time.
pub(super) const STRETCH: usize = 1000;

/// Lists one behind the other, each in the order of its rows' ids.
pub(super) trait Lists {
    /// A row of them.
    type Row<'a>: Copy
    where
        Self: 'a;

    /// How many lists there are.
    fn count(&self) -> usize;

    /// The rows of one, those behind this id.
    fn behind<'a>(&'a self, list: usize, id: Option<&str>) -> Box<dyn Iterator<Item = Self::Row<'a>> + 'a>;

    /// What the row is found again by.
    fn id<'a>(&'a self, row: Self::Row<'a>) -> &'a str;

    fn fits(&self, row: Self::Row<'_>) -> bool;

    fn show(&self, row: Self::Row<'_>) -> Value;
}

/// How far a walk has come.
#[derive(Debug, Default)]
pub(super) struct Walk {
    list: usize,
    /// The row that it came to, if it stands within a list.
    behind: Option<String>,
    fitting: usize,
    shown: Vec<Value>,
    looked_at: usize,
    unfinished: bool,
}

impl Walk {
    /// Counts rows that were looked at without walking.
    pub(super) fn look_at(&mut self, rows: usize) {
        self.looked_at += rows;
    }

    /// Rows looked at until now.
    #[cfg(test)]
    pub(super) fn looked_at(&self) -> usize {
        self.looked_at
    }

    /// Whether there is more to be looked at, and what was answered until now is not the answer.
    pub(super) fn is_unfinished(&self) -> bool {
        self.unfinished
    }

    /// Looks at the next stretch. The number of rows that fit and those of the page are right once this is finished.
    pub(super) fn go_on(&mut self, page: Page, lists: &impl Lists) -> (usize, Vec<Value>) {
        let until = self.looked_at + STRETCH;
        self.unfinished = false;
        while self.list < lists.count() && !self.unfinished {
            let behind = self.behind.take();
            let mut rows = lists.behind(self.list, behind.as_deref());
            loop {
                let Some(row) = rows.next() else {
                    self.list += 1;
                    break;
                };
                self.looked_at += 1;
                self.take(page, lists, row);
                if self.looked_at == until {
                    self.behind = Some(lists.id(row).to_owned());
                    self.unfinished = true;
                    break;
                }
            }
        }
        (self.fitting, if self.unfinished { Vec::new() } else { std::mem::take(&mut self.shown) })
    }

    fn take<L: Lists>(&mut self, page: Page, lists: &L, row: L::Row<'_>) {
        if lists.fits(row) {
            if self.fitting >= page.offset && self.shown.len() < page.limit {
                self.shown.push(lists.show(row));
            }
            self.fitting += 1;
        }
    }
}
