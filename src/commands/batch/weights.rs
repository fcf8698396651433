//! Which weights make the results: other ones give other results.

use super::plan::Item;
use crate::commands::job::Job;
use crate::error::Result;
use crate::runtime::SessionSettings;
use crate::task::Recogniser;

/// The digests of the weights that the items need, each taken once.
#[derive(Debug)]
pub struct Weights(Vec<(Need, Option<String>)>);

/// What a job needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    speaks: bool,
    recogniser: Option<Recogniser>,
}

impl Need {
    fn of(job: &Job) -> Self {
        let recogniser = job.recognition().map(|recognition| recognition.recogniser.clone());
        Self { speaks: job.speaks(), recogniser }
    }
}

impl Weights {
    /// The present weights for `items`.
    pub fn present(items: &[Item], settings: &SessionSettings) -> Result<Self> {
        let weights = settings.weights()?;
        let needs = items.iter().map(|item| Need::of(&item.job));
        Ok(Self::taken(needs, |need| weights.digest(need.speaks, need.recogniser.as_ref())))
    }

    fn taken(needs: impl Iterator<Item = Need>, mut digest: impl FnMut(&Need) -> Option<String>) -> Self {
        let mut known: Vec<(Need, Option<String>)> = Vec::new();
        for need in needs {
            if !known.iter().any(|(other, _)| *other == need) {
                let digest = digest(&need);
                known.push((need, digest));
            }
        }
        Self(known)
    }

    /// The weights that a job needs; `None` when they cannot be told.
    pub fn of(&self, job: &Job) -> Option<&str> {
        let need = Need::of(job);
        let (_, digest) = self.0.iter().find(|(known, _)| *known == need)?;
        digest.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_are_taken_once_however_many_items_there_are() {
        let speaks = Need { speaks: true, recogniser: None };
        let hears = Need { speaks: false, recogniser: Some(Recogniser::Paraformer) };
        let needs = (0..10_000).map(|line| if line % 3 == 0 { speaks.clone() } else { hears.clone() });
        let mut taken = Vec::new();
        Weights::taken(needs, |need| {
            taken.push(need.clone());
            Some("digest".into())
        });
        assert_eq!(taken, [speaks, hears]);
    }
}
