package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"
)

const certificateLife = 10 * 365 * 24 * time.Hour // a test cluster outlives nobody

// leaf is one certificate the cluster's CA signs. Kubernetes takes the user from the
// common name and the groups from the organisation.
type leaf struct {
	file   string
	user   string
	groups []string
	names  []string
	ips    []string
}

func (c *Cluster) leaves() []leaf {
	node := c.nodeName()
	return []leaf{
		{file: "apiserver", user: "kube-apiserver",
			names: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"},
			ips:   []string{"127.0.0.1", nodeIP, apiServiceIP}},
		{file: "apiserver-kubelet-client", user: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}},
		{file: "admin", user: "kubernetes-admin", groups: []string{"system:masters"}},
		{file: "controller-manager", user: "system:kube-controller-manager"},
		{file: "scheduler", user: "system:kube-scheduler"},
		{file: "proxy", user: "system:kube-proxy"},
		{file: "coredns", user: "system:coredns"},
		{file: "kubelet", user: "system:node:" + node, groups: []string{"system:nodes"},
			names: []string{node}, ips: []string{nodeIP}},
	}
}

// createCertificates makes the CA, its leaves and the service-account key, once.
func (c *Cluster) createCertificates() error {
	_, err := os.Stat(c.Path("pki", "complete"))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	caKey, err := newKey(c.Path("pki", "ca.key"))
	if err != nil {
		return err
	}
	ca := template("waybill-"+c.Name, nil)
	ca.IsCA, ca.BasicConstraintsValid = true, true
	ca.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	if err := sign(c.Path("pki", "ca.crt"), ca, ca, caKey.Public(), caKey); err != nil {
		return err
	}
	for _, l := range c.leaves() {
		if err := c.issue(l, ca, caKey); err != nil {
			return err
		}
	}
	if err := newTokenKey(c.Path("pki", "service-accounts.key")); err != nil {
		return err
	}
	return writeFile(c.Path("pki", "complete"), nil, 0o644)
}

func (c *Cluster) issue(l leaf, ca *x509.Certificate, caKey crypto.Signer) error {
	key, err := newKey(c.Path("pki", l.file+".key"))
	if err != nil {
		return err
	}
	certificate := template(l.user, l.groups)
	certificate.KeyUsage = x509.KeyUsageDigitalSignature
	certificate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(l.ips) > 0 {
		certificate.ExtKeyUsage = append(certificate.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	certificate.DNSNames = l.names
	for _, ip := range l.ips {
		certificate.IPAddresses = append(certificate.IPAddresses, net.ParseIP(ip))
	}
	return sign(c.Path("pki", l.file+".crt"), certificate, ca, key.Public(), caKey)
}

func template(user string, groups []string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // crypto/rand does not fail
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: user, Organization: groups},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(certificateLife),
	}
}

func newKey(path string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(path, "PRIVATE KEY", der, 0o600)
}

// newTokenKey writes the one form kube-apiserver also reads the public key from.
func newTokenKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der, 0o600)
}

func sign(path string, certificate, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) error {
	der, err := x509.CreateCertificate(rand.Reader, certificate, parent, public, by)
	if err != nil {
		return fmt.Errorf("failed to sign %s: %w", path, err)
	}
	return writePEM(path, "CERTIFICATE", der, 0o644)
}

func writePEM(path, kind string, der []byte, mode fs.FileMode) error {
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}
