//! Tasks that wait: first come, first served among processes, each of which gets one turn in a round.

use std::collections::VecDeque;

/// A task that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting<K> {
    /// Who asked.
    pub client: u64,
    /// The process of the client: its tasks over several connections share its turns.
    pub owner: u32,
    /// The models that it needs.
    pub models: K,
    /// How many requests came before.
    pub arrival: u64,
    /// Bytes of the task.
    pub bytes: usize,
    /// The place in the queue that the client knows of.
    pub told: Option<usize>,
    /// Whether a worker ended before it began this task.
    pub retried: bool,
}

/// The queue.
///
/// An owner whose turn is over goes behind all owners that wait, so nobody is overtaken more than once in a round by
/// anybody, however many tasks they bring.
#[derive(Debug)]
pub(super) struct Queue<K> {
    /// Owners in the order of their turns, with their tasks in the order of arrival; none is without tasks.
    turns: VecDeque<VecDeque<Waiting<K>>>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { turns: VecDeque::new() }
    }
}

impl<K> Queue<K> {
    pub(super) fn push(&mut self, task: Waiting<K>) {
        match self.turns.iter_mut().find(|tasks| tasks.front().is_some_and(|first| first.owner == task.owner))
        {
            Some(tasks) => tasks.push_back(task),
            None => self.turns.push_back(VecDeque::from([task])),
        }
    }

    /// Puts a task before all others.
    pub(super) fn put_back(&mut self, task: Waiting<K>) {
        let same =
            |tasks: &VecDeque<Waiting<K>>| tasks.front().is_some_and(|first| first.owner == task.owner);
        let rest = self.turns.iter().position(same).and_then(|at| self.turns.remove(at));
        let mut tasks = rest.unwrap_or_default();
        tasks.push_front(task);
        self.turns.push_front(tasks);
    }

    /// The next task among those that arrived before `barrier`.
    pub(super) fn peek(&self, barrier: u64) -> Option<&Waiting<K>> {
        self.turns.iter().filter_map(VecDeque::front).find(|task| task.arrival < barrier)
    }

    /// Takes what [`Queue::peek`] shows.
    pub(super) fn pop(&mut self, barrier: u64) -> Option<Waiting<K>> {
        let at =
            self.turns.iter().position(|tasks| tasks.front().is_some_and(|task| task.arrival < barrier))?;
        let mut tasks = self.turns.remove(at)?;
        let task = tasks.pop_front();
        if !tasks.is_empty() {
            self.turns.push_back(tasks);
        }
        task
    }

    /// Takes the task of `client` out.
    pub(super) fn remove(&mut self, client: u64) -> bool {
        let before = self.len();
        self.turns.iter_mut().for_each(|tasks| tasks.retain(|task| task.client != client));
        self.turns.retain(|tasks| !tasks.is_empty());
        self.len() < before
    }

    /// Takes all tasks out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waiting<K>> + use<K> {
        std::mem::take(&mut self.turns).into_iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.turns.iter().map(VecDeque::len).sum()
    }

    /// The arrival of the task that waits longest.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.turns.iter().flatten().map(|task| task.arrival).min()
    }

    pub(super) fn bytes(&self) -> usize {
        self.turns.iter().flatten().map(|task| task.bytes).sum()
    }

    /// The tasks in the order in which they will be served when nobody else comes.
    pub(super) fn in_order(&mut self) -> Vec<&mut Waiting<K>> {
        // All first tasks in the order of turns, then all second ones, and so on.
        let mut rounds: Vec<(usize, usize, &mut Waiting<K>)> = Vec::new();
        for (turn, tasks) in self.turns.iter_mut().enumerate() {
            rounds.extend(tasks.iter_mut().enumerate().map(|(round, task)| (round, turn, task)));
        }
        rounds.sort_by_key(|(round, turn, _)| (*round, *turn));
        rounds.into_iter().map(|(_, _, task)| task).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(tasks: &[(u64, u32)]) -> Queue<()> {
        let mut queue = Queue::default();
        for (arrival, &(client, owner)) in (0..).zip(tasks) {
            queue.push(Waiting { client, owner, models: (), arrival, bytes: 1, told: None, retried: false });
        }
        queue
    }

    #[test]
    fn owners_take_turns() {
        let mut queue = queue(&[(1, 7), (2, 7), (3, 7), (4, 8), (5, 9), (6, 8)]);
        let told: Vec<u64> = queue.in_order().iter().map(|task| task.client).collect();
        let served: Vec<u64> = std::iter::from_fn(|| queue.pop(u64::MAX)).map(|task| task.client).collect();
        assert_eq!(served, [1, 4, 5, 2, 6, 3]);
        assert_eq!(told, served, "what the clients are told is what happens");
    }

    #[test]
    fn a_task_that_is_put_back_is_next() {
        let mut queue = queue(&[(1, 7), (2, 8), (3, 8), (4, 7)]);
        let first = queue.pop(u64::MAX).unwrap();
        let second = queue.pop(u64::MAX).unwrap();
        queue.put_back(second);
        queue.put_back(first);
        let served: Vec<u64> = std::iter::from_fn(|| queue.pop(u64::MAX)).map(|task| task.client).collect();
        assert_eq!(served, [1, 2, 4, 3]);
    }

    #[test]
    fn newcomers_cannot_starve_who_waits() {
        let mut queue = queue(&[(1, 7), (2, 7), (3, 8)]);
        let mut served = Vec::new();
        for newcomer in 100..110 {
            served.extend(queue.pop(u64::MAX).map(|task| task.client));
            let owner = newcomer as u32;
            queue.push(Waiting {
                client: newcomer,
                owner,
                models: (),
                arrival: newcomer,
                bytes: 1,
                told: None,
                retried: false,
            });
        }
        assert_eq!(served[..4], [1, 3, 2, 100]);
    }

    #[test]
    fn a_barrier_holds_back_what_came_later() {
        let mut queue = queue(&[(1, 7), (2, 8), (3, 9)]);
        assert_eq!(queue.pop(2).map(|task| task.client), Some(1));
        assert!(queue.remove(2) && !queue.remove(2));
        assert_eq!(queue.pop(2), None);
        assert_eq!((queue.len(), queue.bytes()), (1, 1));
        assert_eq!(queue.pop(u64::MAX).map(|task| task.client), Some(3));
    }
}
