package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// A user of the API server, known by a bearer token.
type user struct {
	name, token string
	groups      []string
}

// users are those that a control plane starts with. All rights of `bowline` come from its ClusterRoleBinding.
func users() []user {
	return []user{
		{"admin", newToken(), []string{"system:masters"}},
		{"bowline", newToken(), nil},
		{"kwok", newToken(), []string{"system:masters"}},
		{"system:kube-controller-manager", newToken(), nil},
		{"system:kube-scheduler", newToken(), nil},
	}
}

func newToken() string {
	bytes := make([]byte, 24)
	_, _ = rand.Read(bytes)
	return hex.EncodeToString(bytes)
}

// writeTokens writes the API server's --token-auth-file.
func writeTokens(path string, users []user) error {
	var lines strings.Builder
	for uid, u := range users {
		fmt.Fprintf(&lines, "%s,%s,%d", u.token, u.name, uid+1)
		if len(u.groups) > 0 {
			fmt.Fprintf(&lines, ",%q", strings.Join(u.groups, ","))
		}
		lines.WriteString("\n")
	}
	return os.WriteFile(path, []byte(lines.String()), 0o600)
}

func writeKubeconfig(path, server string, ca []byte, u user) error {
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
contexts:
- name: test
  context: {cluster: test, user: %[3]q}
clusters:
- name: test
  cluster: {server: %[1]q, certificate-authority-data: %[2]q}
users:
- name: %[3]q
  user: {token: %[4]q}
`, server, base64.StdEncoding.EncodeToString(ca), u.name, u.token)
	return os.WriteFile(path, []byte(text), 0o600)
}

// writeServiceAccountKeys makes the pair that service account tokens are signed and verified with.
func writeServiceAccountKeys(private, public string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(private, key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return writePEM(public, "PUBLIC KEY", der)
}

// writeServingCertificate makes a certificate authority and, signed by it, what the API server shows to its clients.
// It returns the authority's certificate as PEM.
func writeServingCertificate(caPath, certificatePath, keyPath string) ([]byte, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := certificate("test-ca")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := certificate("kube-apiserver")
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	leaf.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	if err := writeKey(keyPath, key); err != nil {
		return nil, err
	}
	if err := writePEM(certificatePath, "CERTIFICATE", leafDER); err != nil {
		return nil, err
	}
	if err := writePEM(caPath, "CERTIFICATE", caDER); err != nil {
		return nil, err
	}
	return os.ReadFile(caPath)
}

func certificate(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
	}
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
