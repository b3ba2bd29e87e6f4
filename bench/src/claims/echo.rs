//! A handler that sends each batch over TCP and waits until all of it has come back.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use engine::{Batch, Handler, Settled};

use super::bytes;
use super::passage::{Place, Refusal};
use crate::Failure;
use crate::checksum::{Checksum, Digest};
use crate::workload::Row;

/// A connection to a thread of this process that sends back what it receives. What counts is what came
/// back.
pub(crate) struct Echo {
    keys: u32,
    seen: Arc<Mutex<Digest>>,
    ends: Mutex<Ends>,
}

struct Ends {
    /// For the handler, which closes it when it goes: then the server ends.
    client: Option<TcpStream>,
    server: Option<JoinHandle<io::Result<u64>>>,
}

/// Sends back what comes until the other end is closed; says how many bytes that were.
fn serve(mut stream: TcpStream) -> io::Result<u64> {
    let mut bytes = vec![0; 1 << 16];
    let mut echoed = 0;
    loop {
        let received = stream.read(&mut bytes)?;
        if received == 0 {
            return Ok(echoed);
        }
        stream.write_all(&bytes[..received])?;
        echoed += received as u64;
    }
}

impl Echo {
    pub(crate) fn new(keys: u32) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        // Or small requests would wait for the acknowledgement of the last one.
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let server = std::thread::Builder::new().name("echo".into()).spawn(|| serve(server))?;
        let ends = Mutex::new(Ends { client: Some(client), server: Some(server) });
        Ok(Self { keys, seen: Arc::default(), ends })
    }
}

impl Place for Echo {
    type Handler = Asking;

    fn handler(&self) -> Result<Asking, Refusal> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = ends.client.take().ok_or("the connection was used before")?;
        let (sum, seen) = (Checksum::new(self.keys), Arc::clone(&self.seen));
        Ok(Asking { stream, request: Vec::new(), reply: Vec::new(), sum, seen })
    }

    fn read_back(&self) -> Result<Digest, Failure> {
        let server = self.ends.lock().unwrap_or_else(PoisonError::into_inner).server.take();
        let echoed =
            server.ok_or("read back before")?.join().map_err(|_| "the server panicked")??;
        let digest = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if echoed != digest.items() * bytes::ROW_BYTES as u64 {
            return Err(format!("{echoed} bytes were sent back, for {digest}").into());
        }
        Ok(digest)
    }
}

/// One request and one answer a batch.
pub(crate) struct Asking {
    stream: TcpStream,
    request: Vec<u8>,
    reply: Vec<u8>,
    sum: Checksum,
    seen: Arc<Mutex<Digest>>,
}

impl Asking {
    fn ask(&mut self, rows: &[Row]) -> io::Result<()> {
        self.request.clear();
        bytes::write(rows, &mut self.request);
        self.stream.write_all(&self.request)?;
        self.reply.resize(self.request.len(), 0);
        self.stream.read_exact(&mut self.reply)?;
        bytes::add(&self.reply, &mut self.sum);
        Ok(())
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = self.sum.digest();
    }
}

impl Handler for Asking {
    type Item = Row;
    type Reply = ();
    type Error = io::ErrorKind;

    fn handle<'b>(&mut self, batch: Batch<'b, Self>) -> Settled<'b> {
        batch.settle_all(|_key, rows| self.ask(rows).map_err(|error| error.kind()))
    }
}
