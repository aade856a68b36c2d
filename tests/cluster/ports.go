package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// Ports are taken below the range that the kernel gives to outgoing connections, which would take one at any time.
const (
	firstPort = 20000
	lastPort  = 29999
)

// A port is ours while we hold the lock on its file, listening or not: so control planes that start side by side
// never choose the same one, and a component that is restarted finds its port free.
type port struct {
	number int
	lock   *os.File
}

func (p port) String() string { return fmt.Sprint(p.number) }

func takePort() (port, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("bowline-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return port{}, err
	}
	for range 1000 {
		number := firstPort + rand.IntN(lastPort-firstPort+1)
		lock, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(number)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return port{}, err
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil && isFree(number) {
			return port{number, lock}, nil
		}
		lock.Close()
	}
	return port{}, fmt.Errorf("no free port between %d and %d", firstPort, lastPort)
}

func isFree(number int) bool {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", number))
	if err != nil {
		return false
	}
	listener.Close()
	return true
}
