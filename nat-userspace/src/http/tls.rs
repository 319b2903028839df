//! TLS: one certificate for every listener, read again when its files change.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::config::Config;
use crate::follow::Followed;

/// The certificate in effect.
#[derive(Clone, Debug)]
pub struct Tls(Followed<ServerConfig>);

impl Tls {
    /// What the configuration names, if it does. Certificates that come later are taken over; one that cannot be used is
    /// reported, and the one before stays in effect.
    pub fn configured(config: &Config) -> Result<Option<Tls>> {
        let (Some(certificate), Some(key)) = (&config.tls_certificate, &config.tls_key) else { return Ok(None) };
        let (certificate, key) = (certificate.clone(), key.clone());
        let files = vec![certificate.clone(), key.clone()];
        let followed = Followed::new("the TLS certificate", files, move || read(&certificate, &key))?;
        Ok(Some(Tls(followed)))
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.0.latest()).accept(stream).await
    }
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the certificate {}", certificate.display()))?;
    ensure!(!chain.is_empty(), "there is no certificate in {}", certificate.display());
    let mode =
        fs::metadata(key).with_context(|| format!("cannot read the key {}", key.display()))?.permissions().mode();
    ensure!(mode & 0o007 == 0, "everybody may use the key {}; take that right away with chmod o=", key.display());
    let secret = PrivateKeyDer::from_pem_file(key).with_context(|| format!("cannot read the key {}", key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("no version of TLS is at hand")?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .with_context(|| {
            format!("certificate {} and key {} do not serve together", certificate.display(), key.display())
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
