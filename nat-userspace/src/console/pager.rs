//! Going through a long list page by page.

use maud::{Markup, html};

use super::frame::Viewer;
use super::parts::number;
use super::request::link;
use super::words::Word;

/// Rows of a page.
pub(super) const PAGE: usize = 20;
/// Candidates looked at for one page where a list has no index of its own.
pub(super) const EFFORT: usize = 20_000;
/// Most that a search shows.
pub(super) const HITS: usize = 100;

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) rows: Vec<T>,
    /// Where it begins in the list.
    pub(super) from: usize,
    /// Where the next one begins, if there is one.
    pub(super) next: Option<usize>,
    /// How long the list is, where that is known.
    pub(super) total: Option<usize>,
    /// Not everything was looked at.
    pub(super) cut_short: bool,
}

impl<T> Page<T> {
    /// A page of a list of which any part is found at once.
    pub(super) fn of_a_list(items: impl Iterator<Item = T>, from: usize, total: usize) -> Page<T> {
        let rows: Vec<T> = items.take(PAGE).collect();
        let end = from.saturating_add(rows.len());
        Page {
            next: (end < total && !rows.is_empty()).then_some(end),
            rows,
            from,
            total: Some(total),
            cut_short: false,
        }
    }

    /// A page of those in a list that `choose` takes, looking at so many at most.
    pub(super) fn chosen<C>(all: impl Iterator<Item = C>, from: usize, choose: impl Fn(C) -> Option<T>) -> Page<T> {
        let (mut rows, mut looked_at) = (Vec::new(), 0);
        let mut all = all.peekable();
        while rows.len() < PAGE && looked_at < EFFORT {
            let Some(one) = all.next() else { break };
            looked_at += 1;
            rows.extend(choose(one));
        }
        let next = all.peek().is_some().then(|| from.saturating_add(looked_at));
        Page { cut_short: rows.len() < PAGE && next.is_some(), rows, from, next, total: None }
    }

    /// What a search has found.
    pub(super) fn hits(rows: Vec<T>, cut_short: bool) -> Page<T> {
        Page { rows, from: 0, next: None, total: None, cut_short }
    }
}

/// Which part of the list this is, and the ways to the others.
pub(super) fn pager<T>(viewer: &Viewer, page: &Page<T>, path: &str, fields: &[(&str, Option<&str>)]) -> Markup {
    let place = |from: usize| {
        let from = (from > 0).then(|| from.to_string());
        link(path, &[fields, &[("from", from.as_deref())]].concat())
    };
    let way = |to: Option<usize>, word: Word, rel: &str| {
        html! {
            @match to {
                Some(to) => a.button rel=(rel) href=(place(to)) { (viewer.say(word)) },
                None => span.button.off aria-disabled="true" { (viewer.say(word)) },
            }
        }
    };
    // Where the list has gaps, only the way back to its beginning is known.
    let back = (page.from > 0).then(|| if page.total.is_some() { page.from.saturating_sub(PAGE) } else { 0 });
    let back_word = if page.total.is_some() { Word::Previous } else { Word::FirstPage };
    html! {
        @if page.cut_short { p.quiet { (viewer.say(Word::NotAllLookedAt)) } }
        @if page.from > 0 || page.next.is_some() {
            nav.pager aria-label=(viewer.say(Word::Pages)) {
                @if let Some(total) = page.total {
                    span.quiet { (number(page.from + 1)) "–" (number(page.from + page.rows.len())) " / " (number(total)) }
                }
                (way(back, back_word, "prev"))
                (way(page.next, Word::Next, "next"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let list: Vec<u32> = (0..45).collect();
        let (mut from, mut seen) = (0, Vec::new());
        loop {
            let page = Page::of_a_list(list[from..].iter().copied(), from, list.len());
            seen.extend(page.rows);
            let Some(next) = page.next else { break };
            from = next;
        }
        assert_eq!(seen, list);
        let beyond = Page::of_a_list(std::iter::empty::<u32>(), usize::MAX, 45);
        assert!(beyond.rows.is_empty() && beyond.next.is_none());
    }

    #[test]
    fn a_list_with_gaps_is_looked_through_a_stretch_at_a_time() {
        let sparse = |from: usize| (from..100_000).filter_map(|number| Some(number).filter(|_| number < 100_000));
        let choose = |number: usize| (number % 30_000 == 29_999).then_some(number);
        let (mut from, mut seen, mut pages) = (0, Vec::new(), 0);
        loop {
            let page = Page::chosen(sparse(from), from, choose);
            pages += 1;
            seen.extend(page.rows);
            let Some(next) = page.next else { break };
            assert!(page.cut_short && next - from <= EFFORT);
            from = next;
        }
        assert_eq!((seen, pages), (vec![29_999, 59_999, 89_999], 5));
    }
}
