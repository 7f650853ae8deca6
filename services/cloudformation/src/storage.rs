//! Where stacks, change sets and events are stored; the only file that names the store. `docs/formats/cloudformation.md`
//! fixes the bytes. Documents may be larger than a value: they are cut into chunks, which are always rewritten together.

use std::sync::Arc;

use cumulet_base::limits;
use cumulet_delivery::{Delivery, Wake};
use cumulet_store::{
    Check, Key, KeyReader, KeyWriter, Op, Outcome, Read, Rev, Row, Shard, Space, Store, StoreExt, Txn,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::drift::Drift;
use crate::errors::Error;
use crate::notices;
use crate::signals::Signal;
use crate::stack::{ChangeSet, Event, Job, Stack, Texts};

const SPACE: Space = Space(4);
const CHUNK_BYTES: usize = 48 * 1024;
const PAGE_ROWS: u32 = 64;

/// Whose stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub account: String,
    pub region: String,
}

/// A value that a stack exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// The ARN of the stack.
    pub stack: String,
    pub value: String,
}

/// What is written in one commit with a stack: its job, and what changes in what it shares with others.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    pub job: Option<Job>,
    pub exported: Texts,
    pub exported_before: Vec<String>,
    pub unexported: Vec<String>,
    pub imported: Vec<String>,
    pub unimported: Vec<String>,
}

#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn Store>,
    delivery: Arc<Delivery>,
}

fn shard(owner: &Owner) -> Shard {
    Shard::of(&format!("cloudformation/{}/{}", owner.account, owner.region))
}

fn running_shard() -> Shard {
    Shard::of("cloudformation/running")
}

fn key(owner: &Owner, kind: &str) -> KeyWriter {
    KeyWriter::new().text(kind).text(&owner.account).text(&owner.region)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|e| Error::Row(e.to_string()))
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|e| Error::Row(e.to_string()))
}

/// The text of a key after `skipped` others.
fn last_text(key: &Key, skipped: usize) -> Option<String> {
    let mut parts = KeyReader::new(key);
    (0..skipped).try_for_each(|_| parts.text().map(drop)).and_then(|()| parts.text())
}

/// Replaces a document.
fn put_document(txn: &mut Txn, at: KeyWriter, bytes: &[u8]) {
    let (lo, hi) = at.clone().range();
    txn.ops.push(Op::DeleteRange(SPACE, lo, hi));
    for (i, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
        let key = at.clone().u64(i as u64).key();
        txn.ops.push(Op::Put(SPACE, key, chunk.to_vec().into()));
    }
}

impl Storage {
    pub fn new(store: Arc<dyn Store>, delivery: Arc<Delivery>) -> Storage {
        Storage { store, delivery }
    }

    async fn rows(&self, shard: Shard, lo: Key, hi: Key, max: usize) -> Result<Vec<Row>, Error> {
        let mut lo = lo;
        let mut rows = Vec::new();
        loop {
            let page = self.store.range(shard, SPACE, lo.clone(), hi.clone(), PAGE_ROWS).await?;
            let is_last = page.len() < PAGE_ROWS as usize;
            if let Some(last) = page.last() {
                lo = [last.key.as_ref(), &[0]].concat().into();
            }
            rows.extend(page);
            if is_last || rows.len() >= max {
                return Ok(rows);
            }
        }
    }

    /// A document and the revision of its first chunk. One that is rewritten between two pages is read again.
    async fn document<T: DeserializeOwned>(&self, owner: &Owner, at: KeyWriter) -> Result<Option<(T, Rev)>, Error> {
        let (lo, hi) = at.range();
        for _ in 0..8 {
            let rows = self.rows(shard(owner), lo.clone(), hi.clone(), usize::MAX).await?;
            let Some(first) = rows.first() else {
                return Ok(None);
            };
            if rows.iter().any(|row| row.rev != first.rev) {
                continue;
            }
            let bytes: Vec<u8> = rows.iter().flat_map(|r| r.value.iter().copied()).collect();
            return Ok(Some((decode(&bytes)?, first.rev)));
        }
        Err(Error::Busy)
    }

    /// The id (last part of the ARN) of the stack that has the name now.
    pub async fn named(&self, owner: &Owner, name: &str) -> Result<Option<String>, Error> {
        let row = self.store.get(shard(owner), SPACE, key(owner, "name").text(name).key()).await?;
        Ok(row.and_then(|row| String::from_utf8(row.value.to_vec()).ok()))
    }

    pub async fn stack(&self, owner: &Owner, id: &str) -> Result<Option<(Stack, Rev)>, Error> {
        self.document(owner, key(owner, "stack").text(id)).await
    }

    /// All stacks, deleted ones too.
    pub async fn stacks(&self, owner: &Owner) -> Result<Vec<Stack>, Error> {
        let (lo, hi) = key(owner, "listed").range();
        let rows = self.rows(shard(owner), lo, hi, limits::STACKS_MAX).await?;
        let mut stacks = Vec::new();
        for row in rows {
            if let Some(id) = last_text(&row.key, 3)
                && let Some((stack, _)) = self.stack(owner, &id).await?
            {
                stacks.push(stack);
            }
        }
        Ok(stacks)
    }

    /// Stores a new stack under its name, which must be free.
    pub async fn create(&self, owner: &Owner, stack: &Stack, events: &[Event], beside: &Beside) -> Result<Rev, Error> {
        let name = key(owner, "name").text(&stack.name).key();
        let txn = Txn::new(shard(owner))
            .check(Check::Absent(SPACE, name.clone()))
            .put(SPACE, name, stack.id.clone())
            .put(SPACE, key(owner, "listed").text(&stack.id).key(), Vec::new());
        let mut txn = self.beside(txn, owner, stack, beside)?;
        put_document(&mut txn, key(owner, "stack").text(&stack.id), &encode(stack)?);
        self.commit_told(txn, owner, stack, events).await
    }

    /// Rewrites a stack that was not rewritten since `rev`, together with new events.
    pub async fn save(&self, owner: &Owner, stack: &Stack, rev: Rev, events: &[Event]) -> Result<Rev, Error> {
        self.save_with(owner, stack, rev, events, &Beside::default()).await
    }

    /// The same, and what the stack shares with others. [`Error::Busy`] also where what is imported is not there, what
    /// is exported has a name that is taken, or what is not to be exported any more is in use.
    pub async fn save_with(
        &self,
        owner: &Owner,
        stack: &Stack,
        rev: Rev,
        events: &[Event],
        beside: &Beside,
    ) -> Result<Rev, Error> {
        let first = key(owner, "stack").text(&stack.id).u64(0).key();
        let mut txn = Txn::new(shard(owner)).check(Check::RevIs(SPACE, first, rev));
        if stack.status == "DELETE_COMPLETE" {
            txn = txn.delete(SPACE, key(owner, "name").text(&stack.name).key());
            for kind in ["signal", "drift", "ending"] {
                let (lo, hi) = key(owner, kind).text(&stack.id).range();
                txn = txn.delete_range(SPACE, lo, hi);
            }
        }
        let mut txn = self.beside(txn, owner, stack, beside)?;
        put_document(&mut txn, key(owner, "stack").text(&stack.id), &encode(stack)?);
        self.commit_told(txn, owner, stack, events).await
    }

    fn beside(&self, mut txn: Txn, owner: &Owner, stack: &Stack, beside: &Beside) -> Result<Txn, Error> {
        if let Some(job) = &beside.job {
            put_document(&mut txn, key(owner, "job").text(&stack.id), &encode(job)?);
        }
        let export = |name: &str| key(owner, "export").text(name).key();
        for name in &beside.unexported {
            let (lo, hi) = key(owner, "import").text(name).range();
            txn = txn.check(Check::RangeEmpty(SPACE, lo, hi)).delete(SPACE, export(name));
        }
        for (name, value) in &beside.exported {
            if !beside.exported_before.contains(name) {
                txn = txn.check(Check::Absent(SPACE, export(name)));
            }
            let row = Export { stack: stack.arn.clone(), value: value.clone() };
            txn = txn.put(SPACE, export(name), encode(&row)?);
        }
        let import = |name: &str| key(owner, "import").text(name).text(&stack.id).key();
        for name in &beside.imported {
            txn = txn.check(Check::Exists(SPACE, export(name))).put(SPACE, import(name), stack.name.clone());
        }
        for name in &beside.unimported {
            txn = txn.delete(SPACE, import(name));
        }
        Ok(txn)
    }

    /// What all stacks export, by name.
    pub async fn exports(&self, owner: &Owner) -> Result<Vec<(String, Export)>, Error> {
        let (lo, hi) = key(owner, "export").range();
        let mut exports = Vec::new();
        for row in self.rows(shard(owner), lo, hi, usize::MAX).await? {
            if let Some(name) = last_text(&row.key, 3) {
                exports.push((name, decode(&row.value)?));
            }
        }
        Ok(exports)
    }

    /// Names of the stacks that make use of an export.
    pub async fn importers(&self, owner: &Owner, export: &str) -> Result<Vec<String>, Error> {
        let (lo, hi) = key(owner, "import").text(export).range();
        let rows = self.rows(shard(owner), lo, hi, limits::STACKS_MAX).await?;
        Ok(rows.iter().map(|row| String::from_utf8_lossy(&row.value).into_owned()).collect())
    }

    pub async fn job(&self, owner: &Owner, stack_id: &str) -> Result<Option<Job>, Error> {
        Ok(self.document(owner, key(owner, "job").text(stack_id)).await?.map(|(job, _)| job))
    }

    /// Commits with events, and with the messages that tell the stack's topics of them.
    async fn commit_told(&self, mut txn: Txn, owner: &Owner, stack: &Stack, events: &[Event]) -> Result<Rev, Error> {
        for event in events {
            txn.ops.push(Op::PutAt {
                space: SPACE,
                prefix: key(owner, "event").text(&stack.id).key(),
                suffix: Key::new(),
                value: encode(event)?.into(),
            });
        }
        let mut wakes = Vec::new();
        if let Some(notified) = &stack.notified {
            for task in notices::tasks(owner, notified, events)? {
                let (with_task, wake) = self.delivery.add(txn, &task).map_err(|e| Error::Row(e.to_string()))?;
                txn = with_task;
                wakes.push(wake);
            }
        }
        let rev = self.commit(txn).await?;
        wakes.into_iter().for_each(Wake::now);
        Ok(rev)
    }

    /// Removes every trace of a stack: of one that was only under review.
    pub async fn forget(&self, owner: &Owner, stack: &Stack, rev: Rev) -> Result<(), Error> {
        let first = key(owner, "stack").text(&stack.id).u64(0).key();
        let mut txn = Txn::new(shard(owner))
            .check(Check::RevIs(SPACE, first, rev))
            .delete(SPACE, key(owner, "name").text(&stack.name).key())
            .delete(SPACE, key(owner, "listed").text(&stack.id).key());
        for kind in ["stack", "event", "change", "job", "signal", "drift", "ending"] {
            let (lo, hi) = key(owner, kind).text(&stack.id).range();
            txn = txn.delete_range(SPACE, lo, hi);
        }
        self.commit(txn).await.map(drop)
    }

    /// Events, newest first; the token leads to the older ones.
    pub async fn events(
        &self,
        owner: &Owner,
        stack_id: &str,
        token: Option<&str>,
    ) -> Result<(Vec<Event>, Option<String>), Error> {
        let (lo, hi) = key(owner, "event").text(stack_id).range();
        let hi = match token {
            None => hi,
            Some(token) => hex::decode(token)
                .ok()
                .map(Key::from)
                .filter(|key| (&lo..&hi).contains(&key))
                .ok_or_else(|| Error::Validation("Invalid NextToken".into()))?,
        };
        let read =
            Read::Range { space: SPACE, lo, hi, limit: limits::STACK_EVENTS_PAGE, bytes: u32::MAX, reverse: true };
        let (_, mut answers) = self.store.read(shard(owner), vec![read]).await?;
        let rows = answers.pop().unwrap_or_default();
        let is_full = rows.len() == limits::STACK_EVENTS_PAGE as usize;
        let next = rows.last().filter(|_| is_full).map(|row| hex::encode(&row.key));
        let events: Result<_, _> = rows.iter().map(|row| decode(&row.value)).collect();
        Ok((events?, next))
    }

    pub async fn change_set(&self, owner: &Owner, stack_id: &str, id: &str) -> Result<Option<ChangeSet>, Error> {
        let at = key(owner, "change").text(stack_id).text(id);
        Ok(self.document(owner, at).await?.map(|(found, _)| found))
    }

    pub async fn change_sets(&self, owner: &Owner, stack_id: &str) -> Result<Vec<ChangeSet>, Error> {
        let (lo, hi) = key(owner, "change").text(stack_id).range();
        let rows = self.rows(shard(owner), lo, hi, usize::MAX).await?;
        let mut ids: Vec<String> = rows
            .iter()
            .filter_map(|row| {
                let mut parts = KeyReader::new(&row.key);
                (0..4).try_for_each(|_| parts.text().map(drop))?;
                parts.text()
            })
            .collect();
        ids.dedup();
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.change_set(owner, stack_id, &id).await?);
        }
        Ok(found)
    }

    pub async fn put_change_set(&self, owner: &Owner, change_set: &ChangeSet) -> Result<(), Error> {
        let mut txn = Txn::new(shard(owner));
        let at = key(owner, "change").text(&change_set.stack_key).text(&change_set.id);
        put_document(&mut txn, at, &encode(change_set)?);
        self.commit(txn).await.map(drop)
    }

    pub async fn delete_change_set(&self, owner: &Owner, stack_id: &str, id: &str) -> Result<(), Error> {
        let (lo, hi) = key(owner, "change").text(stack_id).text(id).range();
        self.commit(Txn::new(shard(owner)).delete_range(SPACE, lo, hi)).await.map(drop)
    }

    /// Notes that a stack is being worked on, so that it is found after a crash. Each run has a note of its own:
    /// the next may begin before the last has taken its note away.
    pub async fn mark_running(
        &self,
        owner: &Owner,
        stack_id: &str,
        run_id: &str,
        is_running: bool,
    ) -> Result<(), Error> {
        let at = key(owner, "running").text(stack_id).text(run_id).key();
        let txn = Txn::new(running_shard());
        let txn = match is_running {
            true => txn.put(SPACE, at, Vec::new()),
            false => txn.delete(SPACE, at),
        };
        self.commit(txn).await.map(drop)
    }

    /// Stacks that were being worked on when the process ended.
    pub async fn running(&self) -> Result<Vec<(Owner, String, String)>, Error> {
        let (lo, hi) = KeyWriter::new().text("running").range();
        let rows = self.rows(running_shard(), lo, hi, usize::MAX).await?;
        let named = |row: &Row| {
            let mut parts = KeyReader::new(&row.key);
            parts.text()?;
            let (account, region) = (parts.text()?, parts.text()?);
            Some((Owner { account, region }, parts.text()?, parts.text()?))
        };
        Ok(rows.iter().filter_map(named).collect())
    }

    /// Notes that a stack that is being created is to be deleted.
    pub async fn end(&self, owner: &Owner, stack_id: &str) -> Result<(), Error> {
        let first = key(owner, "stack").text(stack_id).u64(0).key();
        let ending = key(owner, "ending").text(stack_id).key();
        let txn = Txn::new(shard(owner)).check(Check::Exists(SPACE, first)).put(SPACE, ending, Vec::new());
        self.commit(txn).await.map(drop)
    }

    pub async fn is_ending(&self, owner: &Owner, stack_id: &str) -> Result<bool, Error> {
        let ending = key(owner, "ending").text(stack_id).key();
        Ok(self.store.get(shard(owner), SPACE, ending).await?.is_some())
    }

    /// What was last found out about a stack's drift.
    pub async fn drift(&self, owner: &Owner, stack_id: &str) -> Result<Option<Drift>, Error> {
        Ok(self.document(owner, key(owner, "drift").text(stack_id)).await?.map(|(drift, _)| drift))
    }

    /// The stack of a detection; only the last one of each is known.
    pub async fn detected(&self, owner: &Owner, id: &str) -> Result<Option<String>, Error> {
        let row = self.store.get(shard(owner), SPACE, key(owner, "detection").text(id).key()).await?;
        Ok(row.and_then(|row| String::from_utf8(row.value.to_vec()).ok()))
    }

    /// `earlier`: the id of the detection that this one takes the place of, where it is a detection.
    pub async fn put_drift(
        &self,
        owner: &Owner,
        stack_id: &str,
        drift: &Drift,
        earlier: Option<&str>,
    ) -> Result<(), Error> {
        let first = key(owner, "stack").text(stack_id).u64(0).key();
        let mut txn = Txn::new(shard(owner)).check(Check::Exists(SPACE, first));
        put_document(&mut txn, key(owner, "drift").text(stack_id), &encode(drift)?);
        if let Some(earlier) = earlier {
            let detection = |id: &str| key(owner, "detection").text(id).key();
            txn = txn.delete(SPACE, detection(earlier)).put(SPACE, detection(&drift.id), stack_id.to_owned());
        }
        self.commit(txn).await.map(drop)
    }

    /// Wakes with every commit that may have brought a signal.
    pub fn watch(&self, owner: &Owner) -> watch::Receiver<Rev> {
        self.store.watch(shard(owner))
    }

    /// Keeps a signal, with an event that says so if there is to be one, unless there is one of the same id.
    pub async fn put_signal(
        &self,
        owner: &Owner,
        stack: &Stack,
        waiter: &str,
        (unique_id, signal): (&str, &Signal),
        event: Option<&Event>,
    ) -> Result<(), Error> {
        let signals = key(owner, "signal").text(&stack.id).text(waiter);
        let at = signals.clone().text(unique_id).key();
        let (lo, hi) = signals.range();
        let rows = self.rows(shard(owner), lo, hi, limits::STACK_SIGNALS_MAX).await?;
        if rows.iter().any(|row| row.key == at) {
            return Ok(());
        }
        if rows.len() >= limits::STACK_SIGNALS_MAX {
            return Err(Error::Limit("signals", limits::STACK_SIGNALS_MAX));
        }
        let first = key(owner, "stack").text(&stack.id).u64(0).key();
        let txn = Txn::new(shard(owner))
            .check(Check::Exists(SPACE, first))
            .check(Check::Absent(SPACE, at.clone()))
            .put(SPACE, at.clone(), encode(signal)?);
        match self.commit_told(txn, owner, stack, event.map_or(&[], std::slice::from_ref)).await {
            // Another one of the same id was faster.
            Err(Error::Busy) if self.store.get(shard(owner), SPACE, at).await?.is_some() => Ok(()),
            other => other.map(drop),
        }
    }

    /// Signals by their ids.
    pub async fn signals(&self, owner: &Owner, stack_id: &str, waiter: &str) -> Result<Vec<(String, Signal)>, Error> {
        let (lo, hi) = key(owner, "signal").text(stack_id).text(waiter).range();
        let mut signals = Vec::new();
        for row in self.rows(shard(owner), lo, hi, limits::STACK_SIGNALS_MAX).await? {
            if let Some(unique_id) = last_text(&row.key, 5) {
                signals.push((unique_id, decode(&row.value)?));
            }
        }
        Ok(signals)
    }

    async fn commit(&self, mut txn: Txn) -> Result<Rev, Error> {
        txn.id = Some(cumulet_base::id::random());
        for _ in 0..5 {
            match self.store.commit(txn.clone()).await? {
                Outcome::Done(rev) => return Ok(rev),
                Outcome::Conflict { .. } => return Err(Error::Busy),
                Outcome::Unknown => {}
            }
        }
        Err(Error::Row("whether a commit was applied stayed unknown".into()))
    }
}
