//! The functions of this cloud: durable in the store, and a memory of what invocations need. The memory is exact for
//! every write of this process: a write drops what it changed before it answers, and a read that overlapped a write is
//! not remembered. Writes of other processes are not seen; there is one process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use cumulet_base::id;
use cumulet_engine::catalog::{Access, Catalog, Target};
use cumulet_engine::function::FunctionVersion;
use cumulet_engine::invocation::{Invocation, InvokeError};
use cumulet_store::Store;
use cumulet_wire::error::ApiError;

use crate::asynchronous::lineage;
use crate::errors;
use crate::model::{Alias, Attached, Function, Row, UrlOwner};
use crate::names::{At, Named, PUBLISHED};
use crate::policy;
use crate::seal::Seal;
use crate::storage::{Of, Storage, Stored, Written};

/// Attempts to change a row that others change meanwhile.
const UPDATE_ATTEMPTS_MAX: usize = 16;
/// Functions and URLs remembered; beyond it everything is forgotten and read again.
const MEMORY_MAX: usize = 20_000;

type Name = (String, String, String);

/// What is remembered of a function, a version or an alias.
#[derive(Debug)]
pub struct Known {
    pub row: Row,
    /// `None`: an alias, or the stored runtime is unknown to this program.
    pub version: Option<Arc<FunctionVersion>>,
    /// The resource policy as a document, where there is one.
    pub document: Option<String>,
}

impl Known {
    fn new(row: Row, version: Option<FunctionVersion>) -> Known {
        let statements = &row.attached().policy;
        let document = (!statements.is_empty()).then(|| policy::document(statements));
        Known { version: version.map(Arc::new), document, row }
    }

    /// `None`: it is an alias.
    pub fn function(&self) -> Option<&Function> {
        match &self.row {
            Row::Function(function) => Some(function),
            Row::Alias(_) => None,
        }
    }

    pub fn attached(&self) -> &Attached {
        self.row.attached()
    }
}

#[derive(Default)]
struct Memory {
    /// Counts the writes; a read remembers its result only if this stood still meanwhile.
    writes: u64,
    functions: HashMap<Name, Entry>,
    /// Rows in all entries.
    count: usize,
    urls: HashMap<String, Arc<UrlOwner>>,
}

#[derive(Default)]
struct Entry {
    latest: Option<Arc<Known>>,
    /// By qualifier.
    others: HashMap<String, Arc<Known>>,
}

pub struct Functions {
    storage: Arc<Storage>,
    memory: Arc<RwLock<Memory>>,
}

/// Forgets a function when the write of it is over, however it ended.
struct Forget {
    memory: Arc<RwLock<Memory>>,
    name: Name,
}

impl Drop for Forget {
    fn drop(&mut self) {
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        memory.writes += 1;
        if let Some(entry) = memory.functions.remove(&self.name) {
            memory.count -= entry.others.len() + usize::from(entry.latest.is_some());
        }
        let name = &self.name;
        memory.urls.retain(|_, owner| (&owner.account, &owner.region, &owner.name) != (&name.0, &name.1, &name.2));
    }
}

impl Functions {
    /// `secret` is the installation's.
    pub fn new(store: Arc<dyn Store>, secret: &[u8; 32]) -> Functions {
        Functions { storage: Arc::new(Storage::new(store, Seal::new(secret))), memory: Arc::default() }
    }

    /// The function as it is now, from memory where it can.
    pub async fn find(&self, account: &str, region: &str, name: &str) -> Result<Option<Arc<Known>>, ApiError> {
        self.find_at(Of { account, region, name }, None).await
    }

    /// The function, a version or an alias of it, from memory where it can.
    pub async fn find_at(&self, of: Of<'_>, qualifier: Option<&str>) -> Result<Option<Arc<Known>>, ApiError> {
        let id: Name = (of.account.to_owned(), of.region.to_owned(), of.name.to_owned());
        let at = At::of(qualifier);
        let writes = {
            let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
            let known = memory.functions.get(&id).and_then(|entry| match at {
                At::Latest => entry.latest.as_ref(),
                _ => entry.others.get(qualifier?),
            });
            if let Some(known) = known {
                return Ok(Some(Arc::clone(known)));
            }
            memory.writes
        };
        let Some(known) = self.load(of, at).await? else { return Ok(None) };
        let known = Arc::new(known);
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.writes == writes {
            if memory.count >= MEMORY_MAX {
                memory.functions.clear();
                memory.count = 0;
            }
            let entry = memory.functions.entry(id).or_default();
            let before = match at {
                At::Latest => entry.latest.replace(Arc::clone(&known)),
                _ => entry.others.insert(qualifier.unwrap_or_default().to_owned(), Arc::clone(&known)),
            };
            memory.count += usize::from(before.is_none());
        }
        Ok(Some(known))
    }

    async fn load(&self, of: Of<'_>, at: At<'_>) -> Result<Option<Known>, ApiError> {
        let Some(Stored { row, .. }) = self.storage.get(of, at).await? else { return Ok(None) };
        let version = match &row {
            Row::Alias(_) => None,
            Row::Function(function) if function.is_latest() => function.version(function.concurrency_max, 0),
            Row::Function(function) => {
                let Some(Stored { row: Row::Function(owner), .. }) = self.storage.get(of, At::Latest).await? else {
                    return Ok(None);
                };
                function.version(owner.concurrency_max, self.provisioned_of(function).await?)
            }
        };
        Ok(Some(Known::new(row, version)))
    }

    /// Instances that are to be ready of a version: its own, and those of the aliases that name it.
    async fn provisioned_of(&self, version: &Function) -> Result<u32, ApiError> {
        let of = Of::function(version);
        let mut count = version.attached.provisioned.as_ref().map_or(0, |provisioned| provisioned.count);
        let fewest = version.attached.scaling.as_ref().and_then(|scaling| scaling.min).unwrap_or(0);
        for owner in self.storage.provisioned(Some(of)).await? {
            let Some(qualifier) = owner.qualifier.as_deref() else { continue };
            if let At::Alias(_) = At::of(Some(qualifier))
                && let Some(Stored { row: Row::Alias(alias), .. }) =
                    self.storage.get(of, At::of(Some(qualifier))).await?
                && alias.version == version.version
            {
                count += alias.attached.provisioned.as_ref().map_or(0, |provisioned| provisioned.count);
            }
        }
        Ok(count.max(fewest))
    }

    /// What a caller names, or AWS's error that it is not there.
    pub async fn require(&self, named: &Named) -> Result<Arc<Known>, ApiError> {
        self.find_at(of(named), named.qualifier.as_deref()).await?.ok_or_else(|| missing(named))
    }

    /// The function or version a caller names; for an alias the version it stands for, its main one where it has two.
    pub async fn require_version(&self, named: &Named) -> Result<Arc<Known>, ApiError> {
        let known = self.require(named).await?;
        match &known.row {
            Row::Function(_) => Ok(known),
            Row::Alias(alias) => {
                let version = self.find_at(of(named), Some(&alias.version)).await?;
                version.ok_or_else(|| missing(named))
            }
        }
    }

    /// A copy of the function or version that is named, as [`Functions::require_version`] finds it.
    pub async fn function(&self, named: &Named) -> Result<Function, ApiError> {
        let known = self.require_version(named).await?;
        known.function().cloned().ok_or_else(|| missing(named))
    }

    /// Counts an invocation in its trace.
    ///
    /// # Errors
    /// The function has caused itself too often.
    pub async fn count(&self, named: &Named, invocation: &mut Invocation) -> Result<(), ApiError> {
        let may_loop = match self.find_at(of(named), None).await? {
            Some(known) => known.function().is_some_and(|f| f.recursion.as_deref() == Some("Allow")),
            None => false,
        };
        invocation.trace =
            lineage::next(&invocation.trace, &named.arn(), may_loop).ok_or_else(errors::recursive_invocation)?;
        Ok(())
    }

    /// Whose a URL is; from memory where it can.
    pub async fn url_owner(&self, id: &str) -> Result<Option<Arc<UrlOwner>>, ApiError> {
        let writes = {
            let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(owner) = memory.urls.get(id) {
                return Ok(Some(Arc::clone(owner)));
            }
            memory.writes
        };
        let Some(owner) = self.storage.url_owner(id).await? else {
            return Ok(None);
        };
        let owner = Arc::new(owner);
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        if memory.writes == writes {
            if memory.urls.len() >= MEMORY_MAX {
                memory.urls.clear();
            }
            memory.urls.insert(id.to_owned(), Arc::clone(&owner));
        }
        Ok(Some(owner))
    }

    pub async fn list(
        &self,
        account: &str,
        region: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Function>, ApiError> {
        self.storage.list(account, region, after, limit).await
    }

    /// Published versions by number, after the one given.
    pub async fn versions(&self, named: &Named, after: Option<u64>, limit: usize) -> Result<Vec<Function>, ApiError> {
        self.storage.versions(of(named), after, limit).await
    }

    /// Aliases by name, after the one given.
    pub async fn aliases(&self, named: &Named, after: Option<&str>, limit: usize) -> Result<Vec<Alias>, ApiError> {
        Ok(self.storage.aliases(of(named), after, limit).await?.0)
    }

    /// Versions and aliases that have instances kept ready: of one function, or of all.
    pub async fn provisioned(&self, named: Option<&Named>) -> Result<Vec<UrlOwner>, ApiError> {
        self.storage.provisioned(named.map(of)).await
    }

    /// Durable when it returns.
    ///
    /// # Errors
    /// `ResourceConflictException` when the name is taken.
    pub async fn create(&self, function: Function, published: Option<Function>) -> Result<(), ApiError> {
        let name = function.name.clone();
        let named = Named {
            account: function.account.clone(),
            region: function.region.clone(),
            name: function.name.clone(),
            qualifier: None,
        };
        let write = move |storage: Arc<Storage>| async move { storage.create(function, published).await };
        match self.write(&named, write).await? {
            Written::Done => Ok(()),
            Written::Lost => Err(errors::conflict(format!("Function already exist: {name}"))),
        }
    }

    /// Changes a function by compare-and-set; `change` may be asked several times and its last word counts.
    /// Returns the function before and after.
    pub async fn update(
        &self,
        named: &Named,
        mut change: impl FnMut(&mut Function) -> Result<(), ApiError>,
    ) -> Result<(Function, Function), ApiError> {
        let function = |row| match row {
            Row::Function(function) => Ok(*function),
            Row::Alias(_) => Err(missing(named)),
        };
        let (before, after) = self
            .update_row(&named.unqualified(), |row| match row {
                Row::Function(function) => change(function),
                Row::Alias(_) => Ok(()),
            })
            .await?;
        Ok((function(before)?, function(after)?))
    }

    /// The same for whatever is named: the function, a version, an alias.
    pub async fn update_row(
        &self,
        named: &Named,
        mut change: impl FnMut(&mut Row) -> Result<(), ApiError>,
    ) -> Result<(Row, Row), ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let stored = self.read(named).await?;
            let before = stored.row.clone();
            let mut next = before.clone();
            change(&mut next)?;
            let written = next.clone();
            let write = move |storage: Arc<Storage>| async move { storage.replace(&stored, &written, None).await };
            if self.write(named, write).await? == Written::Done {
                return Ok((before, next));
            }
        }
        Err(errors::concurrent_update(&named.qualified_arn()))
    }

    /// Publishes what `$LATEST` is, unless the version published last is the same, which is answered then. `check` may
    /// refuse; `change` is made to `$LATEST` first, in the same commit.
    pub async fn publish(
        &self,
        named: &Named,
        description: Option<&str>,
        is_unnumbered: bool,
        now_ms: u64,
        mut change: impl FnMut(&mut Function) -> Result<(), ApiError>,
    ) -> Result<(Function, Function), ApiError> {
        let named = named.unqualified();
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let stored = self.read(&named).await?;
            let Row::Function(before) = &stored.row else { return Err(missing(&named)) };
            let mut next = before.clone();
            change(&mut next)?;
            let last = match next.last_version {
                _ if is_unnumbered => None,
                0 => None,
                number => self.storage.get(of(&named), At::Version(number)).await?,
            };
            let same = last.and_then(|last| match last.row {
                Row::Function(last) if next.is_published_as(&last) => Some(*last),
                _ => None,
            });
            let is_same = same.is_some();
            let published = same.unwrap_or_else(|| {
                let version = if is_unnumbered {
                    PUBLISHED.to_owned()
                } else {
                    next.last_version += 1;
                    next.last_version.to_string()
                };
                next.snapshot(version, description.map(str::to_owned), now_ms)
            });
            if is_same && next == *before {
                return Ok((*next, published));
            }
            let beside = (!is_same).then(|| Row::Function(Box::new(published.clone())));
            let function = Row::Function(next.clone());
            let write =
                move |storage: Arc<Storage>| async move { storage.replace(&stored, &function, beside.as_ref()).await };
            if self.write(&named, write).await? == Written::Done {
                return Ok((*next, published));
            }
        }
        Err(errors::concurrent_update(&named.arn()))
    }

    /// Puts an alias beside its function.
    ///
    /// # Errors
    /// `ResourceConflictException` when there is one of this name, and when a version it names is gone.
    pub async fn create_alias(&self, alias: &Alias) -> Result<(), ApiError> {
        let named = Named {
            account: alias.account.clone(),
            region: alias.region.clone(),
            name: alias.name.clone(),
            qualifier: None,
        };
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let stored = self.read(&named).await?;
            if self.storage.get(of(&named), At::Alias(&alias.alias)).await?.is_some() {
                return Err(errors::conflict(format!("Alias already exists: {}", alias.arn())));
            }
            let (row, function) = (Row::Alias(Box::new(alias.clone())), stored.row.clone());
            let write =
                move |storage: Arc<Storage>| async move { storage.replace(&stored, &function, Some(&row)).await };
            if self.write(&named, write).await? == Written::Done {
                return Ok(());
            }
        }
        Err(errors::concurrent_update(&alias.arn()))
    }

    /// Deletes the function with everything of it, or a version or an alias.
    pub async fn delete(&self, named: &Named) -> Result<(), ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let stored = self.read(named).await?;
            let since = match named.at() {
                At::Version(_) => Some(self.unreferenced(named).await?),
                _ => None,
            };
            let is_function = named.at() == At::Latest;
            let write = move |storage: Arc<Storage>| async move {
                if is_function { storage.delete(&stored).await } else { storage.delete_row(&stored, since).await }
            };
            if self.write(named, write).await? == Written::Done {
                return Ok(());
            }
        }
        Err(errors::concurrent_update(&named.qualified_arn()))
    }

    /// No alias names the version; the revision at which that was so.
    async fn unreferenced(&self, named: &Named) -> Result<cumulet_store::Rev, ApiError> {
        let version = named.qualifier.as_deref().unwrap_or_default();
        let (aliases, since) = self.storage.aliases(of(named), None, usize::MAX).await?;
        let naming = aliases.iter().filter(|a| a.version == version || a.weights.contains_key(version));
        let names: Vec<&str> = naming.map(|alias| alias.alias.as_str()).collect();
        if names.is_empty() {
            return Ok(since);
        }
        Err(errors::conflict(format!(
            "Version {version} is referenced by the following aliases: [{}]",
            names.join(", ")
        )))
    }

    async fn read(&self, named: &Named) -> Result<Stored, ApiError> {
        self.storage.get(of(named), named.at()).await?.ok_or_else(|| missing(named))
    }

    /// Runs a write to its end even if the caller goes away: a write that was committed but not forgotten would leave a
    /// stale memory behind.
    async fn write<F>(
        &self,
        named: &Named,
        write: impl FnOnce(Arc<Storage>) -> F + Send + 'static,
    ) -> Result<Written, ApiError>
    where
        F: Future<Output = Result<Written, ApiError>> + Send,
    {
        let name = (named.account.clone(), named.region.clone(), named.name.clone());
        let forget = Forget { memory: Arc::clone(&self.memory), name };
        let storage = Arc::clone(&self.storage);
        let task = tokio::spawn(async move {
            let _forget = forget;
            write(storage).await
        });
        task.await.unwrap_or_else(|e| Err(ApiError::internal(format!("writing a function: {e}"))))
    }
}

pub fn of(named: &Named) -> Of<'_> {
    Of { account: &named.account, region: &named.region, name: &named.name }
}

/// AWS's error for what is not there.
pub fn missing(named: &Named) -> ApiError {
    errors::function_not_found(&named.qualified_arn())
}

#[async_trait]
impl Catalog for Functions {
    async fn resolve(&self, target: &Target, access: &Access) -> Result<Arc<FunctionVersion>, InvokeError> {
        let not_found = || InvokeError::NotFound { arn: target.arn() };
        let failed = |e: ApiError| InvokeError::Internal { message: e.message };
        let of = Of { account: &target.account, region: &target.region, name: &target.name };
        let known = self.find_at(of, target.qualifier.as_deref()).await.map_err(failed)?.ok_or_else(not_found)?;
        if let Access::Service { principal, source_arn, source_account } = access {
            let question = policy::Question::service(principal, source_arn, source_account);
            if !policy::allows(&known.attached().policy, "lambda:InvokeFunction", &question) {
                return Err(InvokeError::AccessDenied {
                    message: format!(
                        "{principal} is not authorized to perform: lambda:InvokeFunction on resource: {} \
                         because no resource-based policy allows the lambda:InvokeFunction action",
                        target.arn()
                    ),
                });
            }
        }
        let known = match &known.row {
            Row::Function(_) => known,
            Row::Alias(alias) => {
                // 53 bits, as many as a number of this kind can tell apart.
                let drawn = (u64::from_le_bytes(id::random()) >> 11) as f64 / (1_u64 << 53) as f64;
                let version = self.find_at(of, Some(alias.choose(drawn))).await.map_err(failed)?;
                version.ok_or_else(not_found)?
            }
        };
        known.version.clone().ok_or_else(|| InvokeError::InvalidRuntime {
            message: format!("unknown runtime `{}`", known.function().map_or("", |function| &function.runtime)),
        })
    }

    async fn reserved(&self, account: &str, region: &str) -> usize {
        match self.list(account, region, None, usize::MAX).await {
            Ok(all) => all.iter().filter_map(|f| f.concurrency_max).map(|n| n as usize).sum(),
            Err(e) => {
                tracing::warn!(error = %e.message, "the account's reservations cannot be read");
                0
            }
        }
    }
}
