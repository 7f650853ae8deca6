//! An extension with AWS's crate: events, telemetry and logs by processors.

use lambda_extension::{
    Error, Extension, LambdaEvent, LambdaTelemetry, LambdaTelemetryRecord, NextEvent, SharedService, service_fn,
};

pub async fn run() -> Result<(), Error> {
    let telemetry = SharedService::new(service_fn(|events: Vec<LambdaTelemetry>| async move {
        for event in events {
            match event.record {
                LambdaTelemetryRecord::Function(line) => println!("RUST TELEMETRY function {}", line.trim_end()),
                LambdaTelemetryRecord::PlatformReport { status, .. } => {
                    println!("RUST TELEMETRY report {status:?}");
                }
                LambdaTelemetryRecord::PlatformStart { request_id, .. } => {
                    println!("RUST TELEMETRY start {request_id}");
                }
                _ => {}
            }
        }
        Ok::<(), Error>(())
    }));
    Extension::new()
        .with_events(&["INVOKE", "SHUTDOWN"])
        .with_events_processor(service_fn(told))
        .with_telemetry_types(&["platform", "function"])
        .with_telemetry_processor(telemetry)
        .run()
        .await
}

async fn told(event: LambdaEvent) -> Result<(), Error> {
    match event.next {
        NextEvent::Invoke(invoked) => println!("RUST INVOKE {}", invoked.request_id),
        NextEvent::Shutdown(end) => println!("RUST SHUTDOWN {}", end.shutdown_reason),
    }
    Ok(())
}
