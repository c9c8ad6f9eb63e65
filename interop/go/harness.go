// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"time"
)

const deadline = 30 * time.Second

var (
	url       = os.Getenv("AMQP_URL")
	prefix    = os.Getenv("AMQP_PREFIX")
	proxyURL  = strings.Replace(url, ":"+os.Getenv("AMQP_PORT")+"/", ":"+os.Getenv("PROXY_PORT")+"/", 1)
	scenarios = map[string]func(){}
)

// tlsConfig verifies the broker and shows a certificate, when the address is an amqps one.
func tlsConfig() *tls.Config {
	if os.Getenv("TLS_CA") == "" {
		return nil
	}
	authority, err := os.ReadFile(os.Getenv("TLS_CA"))
	must(err)
	own, err := tls.LoadX509KeyPair(os.Getenv("TLS_CERT"), os.Getenv("TLS_KEY"))
	must(err)
	config := &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{own}}
	config.RootCAs.AppendCertsFromPEM(authority)
	return config
}

// failure ends a scenario; it is what expect and must panic with.
type failure string

func must(err error) {
	if err != nil {
		panic(failure(err.Error()))
	}
}

func expect(actual, expected interface{}, what string) {
	if !reflect.DeepEqual(actual, expected) {
		panic(failure(fmt.Sprintf("%s: expected %#v, got %#v", what, expected, actual)))
	}
}

// eventually waits until condition holds.
func eventually(what string, condition func() bool) {
	for end := time.Now().Add(deadline); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			panic(failure("waited in vain for " + what))
		}
	}
}

// cutConnections cuts everything that goes through the proxy before it returns.
func cutConnections() {
	conn, err := net.Dial("tcp", "127.0.0.1:"+os.Getenv("CUT_PORT"))
	must(err)
	_, err = io.ReadAll(conn)
	must(err)
}

// A scenario that hangs shows where, which a client killed from outside could not.
const hangsAfter = 2 * time.Minute

func runScenario(name string) (ok bool) {
	watchdog := time.AfterFunc(hangsAfter, func() { panic("the scenario hangs: " + name) })
	defer watchdog.Stop()
	defer func() {
		if problem := recover(); problem != nil {
			debug.PrintStack()
			fmt.Printf("not ok %s: %s\n", name, strings.ReplaceAll(fmt.Sprint(problem), "\n", " "))
		}
	}()
	scenarios[name]()
	fmt.Println("ok", name)
	return true
}

func main() {
	debug.SetTraceback("all")
	status := 0
	for _, name := range os.Args[1:] {
		if !runScenario(name) {
			status = 1
		}
	}
	os.Exit(status)
}
