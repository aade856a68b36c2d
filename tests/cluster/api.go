package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// api is the little of a client that starting a control plane needs.
type api struct {
	server, token string
	http          *http.Client
}

func newAPI(server string, ca []byte, u user) *api {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	return &api{server, u.token, &http.Client{Transport: transport, Timeout: 10 * time.Second}}
}

// get reads an object into `into`, which may be nil.
func (a *api) get(path string, into any) error {
	return a.send(http.MethodGet, path, nil, into)
}

// create makes an object; one that is there already is left as it is.
func (a *api) create(path string, object any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return a.send(http.MethodPost, path, body, nil)
}

func (a *api) send(method, path string, body []byte, into any) error {
	request, err := http.NewRequest(method, a.server+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("Content-Type", "application/json")
	response, err := a.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusConflict && method == http.MethodPost {
		return nil
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

type object = map[string]any

// bowlineBinding gives the user `bowline` what the chart's default gives to its service account.
func bowlineBinding() object {
	return object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
		"metadata": object{"name": "bowline"},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
		"subjects": []object{{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bowline"}},
	}
}

func fakeNode(name string) object {
	return object{
		"apiVersion": "v1", "kind": "Node",
		"metadata": object{"name": name, "labels": object{
			"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
		}},
	}
}

// nodeIsReady says whether pods can be scheduled to the node: it is Ready and carries no taint.
func (a *api) nodeIsReady(name string) bool {
	var node struct {
		Spec   struct{ Taints []object }
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if a.get("/api/v1/nodes/"+name, &node) != nil || len(node.Spec.Taints) > 0 {
		return false
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == "Ready" {
			return condition.Status == "True"
		}
	}
	return false
}
