/* A custom runtime in nothing but C and sockets: asks the Runtime API for events and answers each with what came. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char answer[1 << 16];

/* Sends one request and reads the answer until the server closes; answers its body. */
static char *exchange(const char *host, int port, const char *head, const char *body) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, host, &address.sin_addr);
  int to = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(to, (struct sockaddr *)&address, sizeof address) != 0) exit(1);
  dprintf(to, "%sHost: %s:%d\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", head, host, port, strlen(body), body);
  size_t length = 0;
  ssize_t more;
  while ((more = read(to, answer + length, sizeof answer - 1 - length)) > 0) length += more;
  answer[length] = 0;
  close(to);
  char *end = strstr(answer, "\r\n\r\n");
  if (end == NULL) exit(2);
  *end = 0;
  return end + 4;
}

int main(void) {
  char host[64], head[256], id[64], body[1 << 15];
  int port, count = 0;
  if (sscanf(getenv("AWS_LAMBDA_RUNTIME_API"), "%63[^:]:%d", host, &port) != 2) return 3;
  for (;;) {
    char *event = exchange(host, port, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n", "");
    char *header = strcasestr(answer, "lambda-runtime-aws-request-id:");
    if (header == NULL || sscanf(header, "%*[^:]: %63[^\r\n]", id) != 1) return 4;
    snprintf(body, sizeof body, "{\"count\":%d,\"handler\":\"%s\",\"event\":%s}", ++count, getenv("_HANDLER"), event);
    snprintf(head, sizeof head, "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\n", id);
    exchange(host, port, head, body);
  }
}
