//! Messages of a standard queue by their message group: what a fair queue looks into where the order of time is full of a
//! noisy group's.

use cumulet_base::limits::QUEUE_TENANTS_LOOKED_AT;
use cumulet_store::{Key, KeyReader, Read, Row, StoreExt};
use cumulet_wire::error::ApiError;

use super::{Due, SPACE, Storage, of, reading, shard};
use crate::model::Queue;

/// Messages of one quiet group that are looked for at once.
const TOGETHER: u32 = 10;

fn due_of(row: &Row) -> Result<Due, ApiError> {
    let mut key = KeyReader::new(&row.key);
    let parts = (|| {
        key.text()?;
        key.text()?;
        Some(Due { group: Some(key.text()?), visible_ms: key.u64()?, sequence: key.u64()? })
    })();
    parts.ok_or_else(|| ApiError::internal("a key of a message group cannot be read"))
}

impl Storage {
    /// Messages of these groups that are visible, those of the first group first.
    pub async fn of_groups(
        &self,
        queue: &Queue,
        groups: &[String],
        now_ms: u64,
        limit: u32,
    ) -> Result<Vec<u64>, ApiError> {
        let read = |group: &String| {
            let lo = of("tenant", queue).text(group).key();
            let hi = of("tenant", queue).text(group).u64(now_ms + 1).key();
            Read::Range { space: SPACE, lo, hi, limit, bytes: u32::MAX, reverse: false }
        };
        let reads = groups.iter().take(QUEUE_TENANTS_LOOKED_AT).map(read).collect();
        let (_, rows) = self.store.read(shard(queue), reads).await.map_err(reading)?;
        rows.iter().flatten().take(limit as usize).map(|row| Ok(due_of(row)?.sequence)).collect()
    }

    /// Visible messages of groups that are not noisy, from the group after `after` on and around; and the last group that
    /// was looked at.
    pub async fn of_quiet_groups(
        &self,
        queue: &Queue,
        noisy: &[String],
        after: &str,
        now_ms: u64,
        limit: u32,
    ) -> Result<(Vec<Due>, String), ApiError> {
        let (first, end) = of("tenant", queue).range();
        let (_, mut lo): (Key, Key) = of("tenant", queue).text(after).range();
        let mut upto = after.to_owned();
        let mut found = Vec::new();
        let mut has_turned = false;
        for _ in 0..QUEUE_TENANTS_LOOKED_AT {
            let rows =
                self.store.range(shard(queue), SPACE, lo.clone(), end.clone(), TOGETHER).await.map_err(reading)?;
            let Some(row) = rows.first() else {
                if has_turned {
                    break;
                }
                (has_turned, lo) = (true, first.clone());
                continue;
            };
            let group = due_of(row)?.group.unwrap_or_default();
            if !noisy.contains(&group) {
                for row in &rows {
                    let due = due_of(row)?;
                    if due.group.as_ref() == Some(&group) && due.visible_ms <= now_ms {
                        found.push(due);
                    }
                }
            }
            let is_around = has_turned && group.as_str() >= after;
            lo = of("tenant", queue).text(&group).range().1;
            upto = group;
            if is_around || found.len() >= limit as usize {
                break;
            }
        }
        Ok((found, upto))
    }
}
