//! The program: reads the command line and hands over. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found.

mod client;
mod commands;
mod config;
mod output;
mod packaging;
mod serverless;
mod up;

use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::client::Connection;
use crate::output::{Failure, Format};

/// A serverless cloud that you run yourself.
#[derive(Parser)]
#[command(name = "cumulet", version, about, max_term_width = 100, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Global {
    /// How answers are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, env = "CUMULET_OUTPUT")]
    output: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Subcommand)]
enum Command {
    /// Start the cloud and stay in the foreground
    Up(Box<config::UpArgs>),
    /// Package, upload and deploy a folder: a SAM template, or just a handler
    Deploy(commands::deploy::DeployArgs),
    /// Package and upload a folder, and print the template for other tools to deploy
    Package(commands::deploy::PackageArgs),
    /// Deploy a folder, then again whenever a file in it changes, and show what its functions print
    Dev(commands::dev::DevArgs),
    /// Call a function and print its answer
    Invoke(commands::invoke::InvokeArgs),
    /// Show what a function printed
    Logs(commands::logs::LogsArgs),
    /// Show what was used and what it costs, by function and day
    Bill(commands::bill::BillArgs),
    /// List functions, APIs and stacks
    Ls,
    /// Remove a stack, or a function
    Rm(commands::rm::RmArgs),
    /// Print the environment that points AWS tools here: eval "$(cumulet env)"
    Env,
    /// Run the scaling policy over a trace of traffic, beside other policies
    Simulate(commands::simulate::SimulateArgs),
    /// Install AWS's SDKs for functions that bring none, as on Lambda
    Sdk {
        #[command(subcommand)]
        command: commands::sdk::SdkCommand,
    },
    /// Tell which isolation features this machine has, what is missing, and how to get it
    Doctor,
    /// Print the completion script of a shell
    Completion { shell: clap_complete::Shell },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let Global { output, connection } = cli.global;
    let result = match cli.command {
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "cumulet", &mut std::io::stdout());
            Ok(())
        }
        Command::Up(args) => up::run(*args, output),
        Command::Sdk { command } => commands::sdk::sdk(command, output),
        Command::Simulate(args) => commands::simulate::simulate(&args, output),
        command => run(command, connection, output),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(output);
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run(command: Command, connection: Connection, output: Format) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(format!("starting: {e}")))?;
    runtime.block_on(async {
        let client = connection.client()?;
        match command {
            Command::Deploy(args) => commands::deploy::deploy(&client, args, output).await,
            Command::Package(args) => commands::deploy::package(&client, args).await,
            Command::Dev(args) => commands::dev::dev(&client, args, output).await,
            Command::Invoke(args) => commands::invoke::invoke(&client, args, output).await,
            Command::Logs(args) => commands::logs::logs(&client, args, output).await,
            Command::Bill(args) => commands::bill::bill(&client, args, output).await,
            Command::Ls => commands::ls::ls(&client, output).await,
            Command::Rm(args) => commands::rm::rm(&client, args, output).await,
            Command::Env => commands::env::env(&client, output),
            Command::Doctor => commands::doctor::doctor(output),
            Command::Up(_) | Command::Sdk { .. } | Command::Simulate(_) | Command::Completion { .. } => Ok(()),
        }
    })
}
