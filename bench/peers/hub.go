// A Go hub on gorilla/websocket: one goroutine reads and one writes for each client, as in its chat example.
// Each message is framed once (PreparedMessage). A full client holds the others up rather than being dropped:
// what is compared is complete delivery.
//
// Run as `hub PORT NATS_PORT`. Core NATS is read by hand: it is two lines.
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

const queue = 256

type client struct {
	send chan *websocket.PreparedMessage
	gone chan struct{}
}

type hub struct {
	sync.RWMutex
	clients map[*client]struct{}
}

func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	connection, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &client{make(chan *websocket.PreparedMessage, queue), make(chan struct{})}
	h.Lock()
	h.clients[c] = struct{}{}
	h.Unlock()
	go func() {
		for {
			select {
			case message := <-c.send:
				if connection.WritePreparedMessage(message) != nil {
					return
				}
			case <-c.gone:
				return
			}
		}
	}()
	for {
		if _, _, err := connection.NextReader(); err != nil {
			break
		}
	}
	h.Lock()
	delete(h.clients, c)
	h.Unlock()
	close(c.gone)
	connection.Close()
}

func (h *hub) broadcast(payload []byte) {
	message, err := websocket.NewPreparedMessage(websocket.TextMessage, payload)
	if err != nil {
		log.Fatal(err)
	}
	h.RLock()
	clients := make([]*client, 0, len(h.clients))
	for c := range h.clients {
		clients = append(clients, c)
	}
	h.RUnlock()
	for _, c := range clients {
		select {
		case c.send <- message:
		case <-c.gone:
		}
	}
}

func (h *hub) follow(port string) {
	connection, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(connection, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB odin.token.> 1\r\n")
	reader := bufio.NewReaderSize(connection, 65536)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			log.Fatal(err)
		}
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "MSG "):
			size, _ := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
			payload := make([]byte, size+2)
			if _, err := io.ReadFull(reader, payload); err != nil {
				log.Fatal(err)
			}
			h.broadcast(payload[:size])
		case line == "PING":
			fmt.Fprint(connection, "PONG\r\n")
		}
	}
}

func main() {
	h := &hub{clients: map[*client]struct{}{}}
	http.HandleFunc("/ws", h.serve)
	go h.follow(os.Args[2])
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
