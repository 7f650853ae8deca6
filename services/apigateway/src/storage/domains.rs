//! Where domain names are stored: all in one shard, because a name is one account's in the whole cloud.

use cumulet_base::limits;
use cumulet_store::{Check, Key, KeyWriter, Rev, Shard, StoreExt, Txn};

use super::{SPACE, Storage, read, write};
use crate::domains::Domain;
use crate::errors::Error;

fn all() -> Shard {
    Shard::of("apigateway/domains")
}

fn key(name: &str) -> Key {
    KeyWriter::new().text("domain").text(name).key()
}

impl Storage {
    pub async fn domains(&self) -> Result<Vec<Domain>, Error> {
        let (lo, hi) = KeyWriter::new().text("domain").range();
        let limit = u32::try_from(limits::DOMAINS_MAX).unwrap_or(u32::MAX);
        let rows = self.store.range(all(), SPACE, lo, hi, limit).await?;
        rows.iter().map(|row| read(&row.value)).collect()
    }

    pub async fn domain(&self, name: &str) -> Result<Option<(Domain, Rev)>, Error> {
        let row = self.store.get(all(), SPACE, key(name)).await?;
        row.map(|row| Ok((read(&row.value)?, row.rev))).transpose()
    }

    /// A new one with `None`, or one that is as it was seen; otherwise [`Error::Busy`].
    pub async fn put_domain(&self, domain: &Domain, seen: Option<Rev>) -> Result<(), Error> {
        let key = key(&domain.name);
        let check = match seen {
            Some(rev) => Check::RevIs(SPACE, key.clone(), rev),
            None => Check::Absent(SPACE, key.clone()),
        };
        self.commit(Txn::new(all()).check(check).put(SPACE, key, write(domain)?)).await
    }

    pub async fn delete_domain(&self, name: &str, seen: Rev) -> Result<(), Error> {
        let key = key(name);
        self.commit(Txn::new(all()).check(Check::RevIs(SPACE, key.clone(), seen)).delete(SPACE, key)).await
    }
}
