// The DNS of the cluster: the names of Services. It knows nothing else, so that no question leaves the node.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

const zone = ".svc.cluster.local."

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the path of the kubeconfig")
	listen := flag.String("listen", "127.0.0.1:53", "the address and UDP port")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	must(err)
	client, err := kubernetes.NewForConfig(config)
	must(err)
	factory := informers.NewSharedInformerFactory(client, 0)
	services := factory.Core().V1().Services().Lister()
	factory.Start(context.Background().Done())
	factory.WaitForCacheSync(context.Background().Done())
	socket, err := net.ListenPacket("udp", *listen)
	must(err)
	log.Printf("listening on %s", socket.LocalAddr())
	buffer := make([]byte, 4096)
	for {
		read, from, err := socket.ReadFrom(buffer)
		must(err)
		answer, err := answer(services, buffer[:read])
		if err != nil {
			log.Printf("a question from %s has no answer: %v", from, err)
			continue
		}
		if _, err := socket.WriteTo(answer, from); err != nil {
			log.Printf("an answer to %s is lost: %v", from, err)
		}
	}
}

// answer answers the question of a packet: with an address, with nothing (another type), or with NXDOMAIN.
func answer(services listers.ServiceLister, packet []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(packet)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	address := find(services, strings.ToLower(question.Name.String()))
	reply := dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true}
	if address == nil {
		reply.RCode = dnsmessage.RCodeNameError
	}
	builder := dnsmessage.NewBuilder(nil, reply)
	builder.EnableCompression()
	if err := builder.StartQuestions(); err != nil {
		return nil, err
	}
	if err := builder.Question(question); err != nil {
		return nil, err
	}
	if address != nil && question.Type == dnsmessage.TypeA {
		if err := builder.StartAnswers(); err != nil {
			return nil, err
		}
		resource := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 5}
		if err := builder.AResource(resource, dnsmessage.AResource{A: [4]byte(address)}); err != nil {
			return nil, err
		}
	}
	return builder.Finish()
}

// find returns the address of the Service that a name such as `web.shop.svc.cluster.local.` means, or nil.
func find(services listers.ServiceLister, name string) net.IP {
	service, isService := strings.CutSuffix(name, zone)
	if !isService {
		return nil
	}
	all, err := services.List(labels.Everything())
	if err != nil {
		return nil
	}
	for _, known := range all {
		if known.Name+"."+known.Namespace == service {
			return net.ParseIP(known.Spec.ClusterIP).To4()
		}
	}
	return nil
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
