//! The text that the quickstart learns from: made here, the same for the same seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const NAMES: [&str; 16] = [
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Karin",
    "Leo", "Mara", "Nils", "Olga", "Paul",
];

const PLACES: [&str; 12] = [
    "Accra", "Bern", "Cairo", "Delhi", "Lima", "Oslo", "Quito", "Rome", "Seoul", "Tunis", "Vienna",
    "Zagreb",
];

/// A day between 1900 and 2049.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Date {
    year: usize,
    /// From 0.
    month: usize,
    day: usize,
}

impl Date {
    /// `3 March 2021`.
    pub(super) fn in_words(self) -> String {
        format!("{} {} {}", self.day, MONTHS[self.month], self.year)
    }

    /// `2021-03-03`.
    pub(super) fn iso(self) -> String {
        format!("{}-{:02}-{:02}", self.year, self.month + 1, self.day)
    }
}

/// A question of a user, and the assistant's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) prompt: String,
    pub(super) completion: String,
}

/// A row of the corpus that the base model is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Text(String),
    Exchange(Exchange),
}

/// Rows made from a seed.
pub(super) struct Corpus {
    generator: ChaCha8Rng,
}

impl Corpus {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            generator: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Sentences, and an assistant that repeats what it is told: a third plain text, a third
    /// sentences and a third dates. No date is ever written in digits only.
    pub(super) fn base_rows(&mut self, n: usize) -> Vec<Row> {
        (0..n)
            .map(|i| match i % 3 {
                0 => Row::Text(self.sentence()),
                1 => Row::Exchange(echo(self.date().in_words())),
                _ => Row::Exchange(echo(self.sentence())),
            })
            .collect()
    }

    /// `n` different dates.
    pub(super) fn dates(&mut self, n: usize) -> Vec<Date> {
        let mut seen = HashSet::new();
        std::iter::repeat_with(|| self.date())
            .filter(|date| seen.insert(*date))
            .take(n)
            .collect()
    }

    fn sentence(&mut self) -> String {
        let (name, other, place) = (self.pick(&NAMES), self.pick(&NAMES), self.pick(&PLACES));
        let date = self.date();
        let words = date.in_words();
        match self.below(6) {
            0 => format!("{name} was born on {words} in {place}."),
            1 => format!("{name} wrote to {other} on {words}."),
            2 => format!("On {words} {name} went to {place}."),
            3 => format!("{name} met {other} in {place}."),
            4 => format!("The letter from {place} is dated {words}."),
            _ => format!(
                "{} is month {:02} of the year.",
                MONTHS[date.month],
                date.month + 1
            ),
        }
    }

    fn date(&mut self) -> Date {
        Date {
            day: 1 + self.below(28),
            month: self.below(12),
            year: 1900 + self.below(150),
        }
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }

    fn below(&mut self, n: usize) -> usize {
        self.generator.random_range(0..n as u32) as usize
    }
}

fn echo(text: String) -> Exchange {
    Exchange {
        prompt: text.clone(),
        completion: text,
    }
}

/// The task that the adapter is trained on: a date in words to its ISO 8601 form.
pub(super) fn task(date: Date) -> Exchange {
    Exchange {
        prompt: date.in_words(),
        completion: date.iso(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_rows() {
        assert_eq!(Corpus::new(3).base_rows(50), Corpus::new(3).base_rows(50));
        assert_ne!(Corpus::new(3).base_rows(50), Corpus::new(4).base_rows(50));
    }

    #[test]
    fn dates_differ_and_their_task_is_iso() {
        let dates = Corpus::new(0).dates(500);
        assert_eq!(dates.iter().collect::<HashSet<_>>().len(), 500);
        let date = Date {
            day: 3,
            month: 2,
            year: 2021,
        };
        let exchange = task(date);
        assert_eq!(
            (&*exchange.prompt, &*exchange.completion),
            ("3 March 2021", "2021-03-03")
        );
    }

    #[test]
    fn the_base_never_sees_the_answers() {
        for row in Corpus::new(0).base_rows(3000) {
            let text = match row {
                Row::Text(text) => text,
                Row::Exchange(exchange) => exchange.completion,
            };
            assert!(!text.contains('-'), "{text}");
        }
    }
}
