/* CUDA graphs of the driver's library: recorded by a stream's capture or node by node, then
 * launched as often as wanted. Copies and fills in them are done, and counted, at each launch.
 */
#include "driver.h"

typedef enum { KERNEL, COPY, FILL, CHILD, EMPTY } Kind;

typedef struct Node {
    Kind kind;
    const struct Node *origin; /* in a graph made ready: the node of the graph it was made from */
    void *to;
    const void *from;
    size_t bytes, width, count;
    unsigned value;
    Graph *child;
    struct Node *next;
} Node;

struct Graph { Node *first, *last; size_t nodes; };

static Node *add(Graph *graph, Node node) {
    Node *added = malloc(sizeof node);
    *added = node;
    added->next = NULL;
    if (graph->last) graph->last->next = added;
    else graph->first = added;
    graph->last = added;
    graph->nodes++;
    return added;
}

void graph_add_kernel(Graph *graph) { add(graph, (Node){.kind = KERNEL}); }

void graph_add_copy(Graph *graph, void *to, const void *from, size_t bytes) {
    add(graph, (Node){.kind = COPY, .to = to, .from = from, .bytes = bytes});
}

void graph_add_fill(Graph *graph, void *to, unsigned value, size_t width, size_t count) {
    add(graph, (Node){.kind = FILL, .to = to, .value = value, .width = width, .count = count});
}

static Graph *clone(const Graph *graph) {
    Graph *made = calloc(1, sizeof *made);
    for (const Node *node = graph->first; node; node = node->next) {
        Node *copied = add(made, *node);
        copied->origin = node;
        if (node->child) copied->child = clone(node->child);
    }
    return made;
}

static void destroy(Graph *graph) {
    for (Node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (node->child) destroy(node->child);
        free(node);
    }
    free(graph);
}

static void run(const Graph *graph, int device) {
    for (const Node *node = graph->first; node; node = node->next) {
        if (node->kind == KERNEL) add_count(device, COUNT_graph_kernels, 1);
        if (node->kind == COPY) copy(node->to, node->from, node->bytes);
        if (node->kind == FILL) fill(node->to, node->value, node->width, node->count);
        if (node->kind == CHILD) run(node->child, device);
    }
}

static Node *made_from(Graph *exec, const Node *origin) {
    for (Node *node = exec->first; node; node = node->next)
        if (node->origin == origin) return node;
    return NULL;
}

/* Capture */

int cuStreamBeginCapture_v2(Stream *stream, int) {
    stream->capturing = calloc(1, sizeof(Graph));
    return SUCCESS;
}

int cuStreamBeginCaptureToGraph(Stream *stream, Graph *graph, const Node *, const void *, size_t,
                                int) {
    stream->capturing = graph;
    return SUCCESS;
}

int cuStreamEndCapture(Stream *stream, Graph **graph) {
    *graph = stream->capturing;
    stream->capturing = NULL;
    return *graph ? SUCCESS : INVALID_VALUE;
}

int cuStreamIsCapturing(Stream *stream, int *status) {
    *status = captured(stream) != NULL;
    return SUCCESS;
}

int cuThreadExchangeStreamCaptureMode(int *) { return SUCCESS; }

/* Graphs */

int cuGraphCreate(Graph **out, unsigned) { *out = calloc(1, sizeof **out); return SUCCESS; }
int cuGraphDestroy(Graph *graph) { destroy(graph); return SUCCESS; }

int cuGraphInstantiateWithFlags(Graph **exec, Graph *graph, unsigned long long) {
    *exec = clone(graph);
    return SUCCESS;
}

int cuGraphExecDestroy(Graph *exec) { destroy(exec); return SUCCESS; }

int cuGraphLaunch(Graph *exec, Stream *stream) {
    int device = stream ? stream->device : current_device();
    add_count(device, COUNT_graph_launches, 1);
    run(exec, device);
    return SUCCESS;
}

int cuGraphUpload(Graph *, Stream *) { return SUCCESS; }

/* Update info: a result (0 is success) and two nodes at fault. */
int cuGraphExecUpdate_v2(Graph *exec, Graph *graph, void *info) {
    Graph *made = clone(graph);
    Graph old = *exec;
    *exec = *made;
    *made = old;
    destroy(made);
    memset(info, 0, 24);
    return SUCCESS;
}

int cuGraphGetNodes(Graph *graph, Node **nodes, size_t *count) {
    size_t written = 0;
    for (Node *node = graph->first; nodes && node && written < *count; node = node->next)
        nodes[written++] = node;
    *count = nodes ? written : graph->nodes;
    return SUCCESS;
}

int cuGraphNodeGetDependencies(Node *, Node **, size_t *count) { *count = 0; return SUCCESS; }
int cuGraphAddDependencies(Graph *, const Node **, const Node **, size_t) { return SUCCESS; }
int cuGraphDebugDotPrint(Graph *, const char *, unsigned) { return SUCCESS; }
int cuDeviceGetGraphMemAttribute(int, int, void *value) { memset(value, 0, 8); return SUCCESS; }
int cuDeviceGraphMemTrim(int) { return SUCCESS; }

/* Nodes, and their parameters set anew in a graph that was made ready */

int cuGraphAddEmptyNode(Node **out, Graph *graph, const Node **, size_t) {
    *out = add(graph, (Node){.kind = EMPTY});
    return SUCCESS;
}

int cuGraphAddKernelNode_v2(Node **out, Graph *graph, const Node **, size_t, const void *) {
    *out = add(graph, (Node){.kind = KERNEL});
    return SUCCESS;
}

int cuGraphExecKernelNodeSetParams_v2(Graph *, Node *, const void *) { return SUCCESS; }
int cuGraphKernelNodeSetAttribute(Node *, int, const void *) { return SUCCESS; }

int cuGraphAddChildGraphNode(Node **out, Graph *graph, const Node **, size_t, Graph *child) {
    *out = add(graph, (Node){.kind = CHILD, .child = clone(child)});
    return SUCCESS;
}

int cuGraphChildGraphNodeGetGraph(Node *node, Graph **child) {
    *child = node->child;
    return SUCCESS;
}

int cuGraphExecChildGraphNodeSetParams(Graph *exec, Node *node, Graph *child) {
    Node *made = made_from(exec, node);
    if (!made) return INVALID_VALUE;
    destroy(made->child);
    made->child = clone(child);
    return SUCCESS;
}

/* One end of CUDA_MEMCPY3D. */
typedef struct {
    size_t x, y, z, level;
    int memory_type;
    void *host, *device, *array, *reserved;
    size_t pitch, height;
} End;

typedef struct { End from, to; size_t width, height, depth; } Copy3d;

static void *address(const End *end) {
    enum { HOST = 1 };
    return (char *)(end->memory_type == HOST ? end->host : end->device) + end->x;
}

static Node copy_node(const Copy3d *params) {
    return (Node){.kind = COPY,
                  .to = address(&params->to),
                  .from = address(&params->from),
                  .bytes = params->width * params->height * params->depth};
}

int cuGraphAddMemcpyNode(Node **out, Graph *graph, const Node **, size_t, const Copy3d *params,
                         Context *) {
    *out = add(graph, copy_node(params));
    return SUCCESS;
}

int cuGraphExecMemcpyNodeSetParams(Graph *exec, Node *node, const Copy3d *params, Context *) {
    Node *made = made_from(exec, node), wanted = copy_node(params);
    if (!made) return INVALID_VALUE;
    made->to = wanted.to;
    made->from = wanted.from;
    made->bytes = wanted.bytes;
    return SUCCESS;
}

/* CUDA_MEMSET_NODE_PARAMS */
typedef struct { void *to; size_t pitch; unsigned value, element; size_t width, height; } Fill2d;

int cuGraphAddMemsetNode(Node **out, Graph *graph, const Node **, size_t, const Fill2d *params,
                         Context *) {
    *out = add(graph, (Node){.kind = FILL,
                             .to = params->to,
                             .value = params->value,
                             .width = params->element,
                             .count = params->width * params->height});
    return SUCCESS;
}

int cuGraphExecMemsetNodeSetParams(Graph *exec, Node *node, const Fill2d *params, Context *) {
    Node *made = made_from(exec, node);
    if (!made) return INVALID_VALUE;
    made->to = params->to;
    made->value = params->value;
    made->width = params->element;
    made->count = params->width * params->height;
    return SUCCESS;
}
