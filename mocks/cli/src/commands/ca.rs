//! `api-mock-service ca`

use api_mock_recorder::CertificateAuthority;

use super::{Outcome, print, recording, settings};
use crate::args::Flags;
use crate::exit::{self, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,
}

/// Prints the certificate, and makes the authority if there is none yet. Its key is never printed.
pub(crate) fn run(args: &Args) -> Outcome {
    let settings = settings(&args.flags)?;
    let folder = recording::authority_dir(&settings);
    let authority =
        CertificateAuthority::kept_in(&folder).map_err(|error| Failure::of(exit::FAILED, &error))?;
    print(authority.certificate_pem().as_bytes())?;
    Ok(exit::OK)
}
