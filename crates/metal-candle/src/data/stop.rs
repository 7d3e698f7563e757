//! Ending a text at a stop string, without printing any part of it.

use std::collections::VecDeque;
use std::ops::Range;

/// Stop strings, for which the pieces of a text are watched. Hidden pieces, the special tokens that decoded
/// text leaves out, are looked at like any other, but never given out.
///
/// Every byte is looked at once for every stop string (Knuth, Morris and Pratt 1977), however long
/// these are.
#[derive(Debug, Clone)]
pub struct StopStrings {
    stops: Vec<Stop>,
    /// Text that may be the beginning of a stop string.
    held: VecDeque<u8>,
    /// Bytes of the text before `held`.
    n_given: usize,
    /// Where hidden pieces lie in the text, in its order.
    hidden: VecDeque<Range<usize>>,
}

/// Outcome of a piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Text that can be printed now.
    pub text: String,
    /// The stop string that was found; `text` ends before it, and so does everything.
    pub stop: Option<String>,
}

impl StopStrings {
    /// Watches for any of `stops`; empty strings, which would stop everything, are ignored.
    pub fn new(stops: impl IntoIterator<Item = String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty());
        Self {
            stops: stops.map(Stop::new).collect(),
            held: VecDeque::new(),
            n_given: 0,
            hidden: VecDeque::new(),
        }
    }

    /// Takes the next piece of text.
    pub fn push(&mut self, piece: &str) -> Checked {
        let begin = self.n_given + self.held.len();
        self.held.extend(piece.as_bytes());
        if let Some((at, stop)) = self.first_stop(begin, piece.as_bytes()) {
            let text = self.give(at);
            self.reset();
            return Checked {
                text,
                stop: Some(stop),
            };
        }
        let kept = self
            .stops
            .iter()
            .map(|stop| stop.matched)
            .max()
            .unwrap_or(0);
        Checked {
            text: self.give(begin + piece.len() - kept),
            stop: None,
        }
    }

    /// Takes a piece that decoded text leaves out.
    pub fn push_hidden(&mut self, piece: &str) -> Checked {
        let begin = self.n_given + self.held.len();
        self.hidden.push_back(begin..begin + piece.len());
        self.push(piece)
    }

    /// Ends the text: gives what was held back.
    pub fn finish(&mut self) -> String {
        let text = self.give(self.n_given + self.held.len());
        self.reset();
        text
    }

    /// The stop string that begins first, and where; of those that begin at the same place the
    /// first one given. `piece` begins at the byte `begin` of the text.
    fn first_stop(&mut self, begin: usize, piece: &[u8]) -> Option<(usize, String)> {
        let found = self.stops.iter_mut().filter_map(|stop| {
            let end = begin + stop.find(piece)?;
            Some((end - stop.text.len(), stop.text.clone()))
        });
        found.min_by_key(|&(at, _)| at)
    }

    /// Takes the text up to the byte `end` out of what is held, without hidden pieces.
    fn give(&mut self, end: usize) -> String {
        let mut shown = vec![];
        for byte in self.held.drain(..end - self.n_given) {
            while self
                .hidden
                .front()
                .is_some_and(|range| range.end <= self.n_given)
            {
                self.hidden.pop_front();
            }
            if self
                .hidden
                .front()
                .is_none_or(|range| self.n_given < range.start)
            {
                shown.push(byte);
            }
            self.n_given += 1;
        }
        // A stop string is cut out of whole characters, and so is what is left.
        String::from_utf8_lossy(&shown).into_owned()
    }

    fn reset(&mut self) {
        self.held.clear();
        self.hidden.clear();
        self.n_given = 0;
        for stop in &mut self.stops {
            stop.matched = 0;
        }
    }
}

/// A stop string, and how much of it the text so far ends with.
#[derive(Debug, Clone)]
struct Stop {
    text: String,
    /// Lengths, for each beginning of `text`, of the longest shorter beginning that
    /// it ends with.
    fallback: Vec<usize>,
    /// Bytes of `text` that the text so far ends with; never all of them.
    matched: usize,
}

impl Stop {
    fn new(text: String) -> Self {
        let bytes = text.as_bytes();
        let mut fallback = vec![0, 0];
        for &byte in &bytes[1..] {
            let before = fallback[fallback.len() - 1];
            fallback.push(advance(bytes, &fallback, before, byte));
        }
        Self {
            text,
            fallback,
            matched: 0,
        }
    }

    /// Where in `piece` the stop string ends for the first time.
    fn find(&mut self, piece: &[u8]) -> Option<usize> {
        for (at, &byte) in piece.iter().enumerate() {
            self.matched = advance(self.text.as_bytes(), &self.fallback, self.matched, byte);
            if self.matched == self.text.len() {
                self.matched = 0;
                return Some(at + 1);
            }
        }
        None
    }
}

/// Bytes of `stop` that a text ends with after `byte`, when it ended with `matched` of them before.
fn advance(stop: &[u8], fallback: &[usize], mut matched: usize, byte: u8) -> usize {
    while matched > 0 && stop[matched] != byte {
        matched = fallback[matched];
    }
    matched + usize::from(stop[matched] == byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stop_string_across_pieces_is_never_printed() {
        let mut stops = StopStrings::new(["</s>".to_owned(), "\n\n".to_owned()]);
        assert_eq!(
            stops.push("a <"),
            Checked {
                text: "a ".into(),
                stop: None
            }
        );
        assert_eq!(
            stops.push("b </"),
            Checked {
                text: "<b ".into(),
                stop: None
            }
        );
        assert_eq!(
            stops.push("s> rest"),
            Checked {
                text: String::new(),
                stop: Some("</s>".into())
            }
        );
    }

    #[test]
    fn what_was_held_comes_at_the_end() {
        let mut stops = StopStrings::new(["abc".to_owned(), String::new()]);
        assert_eq!(stops.push("xab").text, "x");
        assert_eq!(stops.finish(), "ab");
        assert_eq!(stops.finish(), "");
    }

    /// Pieces such as `<|im_end|>`, the form that chat models end a turn with.
    #[test]
    fn hidden_pieces_are_looked_at_but_not_given() {
        let stops = |text: &str| StopStrings::new([text.to_owned()]);
        let mut whole = stops("<|end|>");
        assert_eq!(whole.push("a <").text, "a ");
        let checked = whole.push_hidden("<|end|>");
        assert_eq!(
            (checked.text.as_str(), checked.stop),
            ("<", Some("<|end|>".into()))
        );
        let mut across = stops("b<|end|>\n");
        assert_eq!(across.push("ab").text, "a");
        assert_eq!(across.push_hidden("<|end|>").text, "");
        assert_eq!(across.push("c").text, "bc");
        assert_eq!(across.push("b").text, "");
        across.push_hidden("<|end|>");
        assert_eq!(across.push("\nd").stop.as_deref(), Some("b<|end|>\n"));
        let mut other = stops("zz");
        assert_eq!(
            other.push_hidden("<|end|>").text + &other.push("z").text + &other.finish(),
            "z"
        );
    }

    /// Text that is nearly a long stop string, again and again: the old search took the square of
    /// its length.
    #[test]
    fn long_stop_strings_take_time_in_proportion() {
        let stop = "a".repeat(1 << 20) + "b";
        let mut stops = StopStrings::new([stop]);
        let begin = std::time::Instant::now();
        let given: usize = (0..1 << 16)
            .map(|_| stops.push(&"a".repeat(32)).text.len())
            .sum();
        assert_eq!(given, (32 << 16) - (1 << 20));
        assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
    }

    proptest! {
        #[test]
        fn the_text_ends_before_the_first_stop(pieces in prop::collection::vec("[abé]{0,4}", 0..12), stops in prop::collection::vec("[abé]{1,4}", 0..3)) {
            let text = pieces.concat();
            let end = stops.iter().filter_map(|stop| text.find(stop.as_str())).min();
            let mut watch = StopStrings::new(stops.clone());
            let mut printed = String::new();
            let mut stopped = false;
            for piece in &pieces {
                let checked = watch.push(piece);
                printed += &checked.text;
                stopped = checked.stop.is_some();
                if stopped { break }
            }
            if !stopped { printed += &watch.finish(); }
            prop_assert_eq!(stopped, end.is_some());
            // A stop string may be complete before a longer one that began earlier; no text behind
            // either is printed.
            prop_assert!(text.starts_with(&printed));
            match end {
                None => prop_assert_eq!(printed, text),
                Some(end) => prop_assert!(printed.len() >= end && stops.iter().all(|stop| !printed.contains(stop.as_str()))),
            }
        }
    }
}
