//! Debuggers: which functions are looked at, and the ways from the ports of the host to the instances. A function that is
//! looked at has one instance at a time, which waits for its debugger and has no timeout.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cumulet_base::limits::INSPECTORS_MAX;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::function::FunctionVersion;
use crate::sandbox::Debugger;

type Name = (String, String, String);

struct Inspected {
    address: SocketAddr,
    /// The instance that is looked at.
    debugger: Arc<Mutex<Option<Debugger>>>,
    door: JoinHandle<()>,
}

impl Drop for Inspected {
    fn drop(&mut self) {
        self.door.abort();
    }
}

/// Before an instance that is just starting listens.
const PAUSE: Duration = Duration::from_millis(50);
const TRIES: usize = 200;

#[derive(Default)]
pub struct Inspections {
    known: Mutex<HashMap<Name, Inspected>>,
}

impl Inspections {
    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Inspected>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the function is looked at.
    pub fn is_on(&self, function: &FunctionVersion) -> bool {
        let known = self.lock();
        !known.is_empty() && known.contains_key(&name_of(function))
    }

    /// Listens for debuggers of the function; where.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn begin(&self, name: Name, address: SocketAddr) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let debugger: Arc<Mutex<Option<Debugger>>> = Arc::default();
        let door = tokio::spawn(serve(listener, debugger.clone()));
        self.lock().insert(name, Inspected { address, debugger, door });
        Ok(address)
    }

    /// Whether it was looked at.
    pub fn end(&self, name: &Name) -> bool {
        self.lock().remove(name).is_some()
    }

    /// Where debuggers of the function are listened for.
    pub fn address(&self, name: &Name) -> Option<SocketAddr> {
        self.lock().get(name).map(|inspected| inspected.address)
    }

    /// The instance to lead debuggers to from now on.
    pub fn lead_to(&self, function: &FunctionVersion, debugger: Debugger) {
        if let Some(inspected) = self.lock().get(&name_of(function)) {
            *inspected.debugger.lock().unwrap_or_else(PoisonError::into_inner) = Some(debugger);
        }
    }
}

fn name_of(function: &FunctionVersion) -> Name {
    (function.account.clone(), function.region.clone(), function.name.clone())
}

async fn serve(listener: TcpListener, debugger: Arc<Mutex<Option<Debugger>>>) {
    let places = Arc::new(Semaphore::new(INSPECTORS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((mut outside, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let debugger = debugger.clone();
        tokio::spawn(async move {
            if let Some(mut inside) = reach(&debugger).await {
                // Either side may go when it likes.
                let _gone = copy_bidirectional(&mut outside, &mut inside).await;
            }
            drop(place);
        });
    }
}

/// A connection to the instance, once there is one that listens.
async fn reach(debugger: &Mutex<Option<Debugger>>) -> Option<TcpStream> {
    for _ in 0..TRIES {
        let known = debugger.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known
            && let Ok(Ok(stream)) = tokio::task::spawn_blocking(move || (known.connect)()).await
            && stream.set_nonblocking(true).is_ok()
        {
            return TcpStream::from_std(stream).ok();
        }
        tokio::time::sleep(PAUSE).await;
    }
    None
}
