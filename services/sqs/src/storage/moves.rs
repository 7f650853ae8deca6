//! Records of message move tasks, beside the messages of their source.

use cumulet_store::{Check, Key, Read, Rev, StoreExt, Txn};
use cumulet_wire::error::ApiError;

use super::{SPACE, Storage, decode, encode, of, reading, shard};
use crate::model::{Move, Queue};

fn key(source: &Queue, task: &Move) -> Key {
    of("move", source).u64(task.started_ms).text(&task.id).key()
}

impl Storage {
    /// The newest first; and the revision they were read at.
    pub async fn moves(&self, source: &Queue, limit: u32) -> Result<(Vec<(Move, Rev)>, Rev), ApiError> {
        let (lo, hi) = of("move", source).range();
        let read = Read::Range { space: SPACE, lo, hi, limit, bytes: u32::MAX, reverse: true };
        let (seen, rows) = self.store.read(shard(source), vec![read]).await.map_err(reading)?;
        let moves = rows.into_iter().flatten().map(|row| Ok((decode(&row.value)?, row.rev)));
        Ok((moves.collect::<Result<_, ApiError>>()?, seen))
    }

    /// Whether it was begun; otherwise another one was, since `seen`.
    pub async fn begin_move(
        &self,
        source: &Queue,
        task: &Move,
        seen: Rev,
        also: impl FnOnce(Txn) -> Result<Txn, ApiError>,
    ) -> Result<bool, ApiError> {
        let (lo, hi) = of("move", source).range();
        let txn = Txn::new(shard(source)).check(Check::RangeUnchangedSince(SPACE, lo, hi, seen));
        self.commit(also(txn.put(SPACE, key(source, task), encode(task)?))?).await
    }

    pub async fn find_move(&self, source: &Queue, like: &Move) -> Result<Option<(Move, Rev)>, ApiError> {
        let row = self.store.get(shard(source), SPACE, key(source, like)).await.map_err(reading)?;
        row.map(|row| Ok((decode(&row.value)?, row.rev))).transpose()
    }

    /// Whether it was as seen.
    pub async fn put_move(&self, source: &Queue, task: &Move, seen: Rev) -> Result<bool, ApiError> {
        let key = key(source, task);
        let txn = Txn::new(shard(source)).check(Check::RevIs(SPACE, key.clone(), seen));
        self.commit(txn.put(SPACE, key, encode(task)?)).await
    }

    /// Forgets a task that has ended.
    pub async fn forget_move(&self, source: &Queue, task: &Move) -> Result<(), ApiError> {
        self.commit(Txn::new(shard(source)).delete(SPACE, key(source, task))).await.map(drop)
    }
}
