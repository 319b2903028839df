//! What the page says, in each of its languages.

mod table;

use std::fmt;

use hyper::HeaderMap;
use hyper::header::ACCEPT_LANGUAGE;

pub(super) use self::table::Word;

/// A language of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Language {
    #[default]
    English,
    Chinese,
}

impl Language {
    /// Every language.
    pub(super) const ALL: [Language; 2] = [Language::English, Language::Chinese];

    /// As the page's `lang` has it.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh-CN",
        }
    }

    /// Its name in itself.
    pub(super) fn own_name(self) -> &'static str {
        match self {
            Language::English => "English",
            Language::Chinese => "中文",
        }
    }

    /// The language a tag like `zh-TW` stands for.
    pub(super) fn of_tag(tag: &str) -> Option<Language> {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        Language::ALL
            .into_iter()
            .find(|language| language.tag().split('-').next().is_some_and(|known| known.eq_ignore_ascii_case(primary)))
    }

    /// What a browser prefers of those there are (RFC 9110, 12.5.4).
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Language> {
        let text = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
        let mut wanted: Vec<(u16, Language)> = text
            .split(',')
            .take(32)
            .filter_map(|one| {
                let (tag, weight) = one.split_once(';').unwrap_or((one, "q=1"));
                let weight: f32 = weight.trim().strip_prefix("q=")?.trim().parse().ok()?;
                Some(((weight.clamp(0.0, 1.0) * 1000.0) as u16, Language::of_tag(tag)?))
            })
            .filter(|(weight, _)| *weight > 0)
            .collect();
        // Of equals, the first named.
        wanted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        wanted.first().map(|(_, language)| *language)
    }

    /// The word in this language.
    pub(super) fn say(self, word: Word) -> &'static str {
        word.texts()[self as usize]
    }

    /// The sentence with its gaps `{0}`, `{1}`, … filled in.
    pub(super) fn tell(self, word: Word, with: &[&dyn fmt::Display]) -> String {
        let mut text = self.say(word).to_owned();
        for (index, value) in with.iter().enumerate() {
            text = text.replace(&format!("{{{index}}}"), &value.to_string());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gaps of a sentence, in order.
    fn gaps(text: &str) -> Vec<&str> {
        let mut found: Vec<&str> =
            text.match_indices('{').filter_map(|(at, _)| Some(&text[at..=at + text[at..].find('}')?])).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn every_word_is_there_in_every_language() {
        for word in Word::ALL {
            let [english, chinese] = word.texts();
            assert!(!english.trim().is_empty() && !chinese.trim().is_empty(), "{word:?}");
            assert_eq!(gaps(english), gaps(chinese), "{word:?}");
            assert!(english.is_ascii() || english.chars().all(|c| !('一'..='龥').contains(&c)), "{word:?}: {english}");
            // Names and units are the same everywhere.
            let same = [Word::Mbps, Word::Vpc];
            assert!(same.contains(word) || chinese.chars().any(|c| ('一'..='龥').contains(&c)), "{word:?}: {chinese}");
        }
    }

    #[test]
    fn gaps_are_filled_in() {
        let said = Language::English.tell(Word::Bound, &[&"203.0.113.1", &"web"]);
        assert!(said.contains("203.0.113.1") && said.contains("web") && !said.contains('{'), "{said}");
    }

    #[test]
    fn a_browser_gets_the_language_it_prefers() {
        let accepted = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, text.parse().unwrap());
            Language::accepted(&headers)
        };
        assert_eq!(accepted("zh-CN,zh;q=0.9,en;q=0.8"), Some(Language::Chinese));
        assert_eq!(accepted("en-GB"), Some(Language::English));
        assert_eq!(accepted("fr, en;q=0.3, zh-TW;q=0.7"), Some(Language::Chinese));
        assert_eq!(accepted("zh;q=0, de"), None);
        assert_eq!(accepted("*;q=0.1"), None);
    }
}
