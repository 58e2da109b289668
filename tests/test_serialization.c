#include "tests/adapters.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/hash_weights.h"
#include "tests/support/sample.h"

enum { LAYERS = 3, PARAMETERS = 2 * LAYERS, ITERATIONS = 10, MORE_ITERATIONS = 5 };

static const size_t WIDTH[LAYERS + 1] = {100, 200, 100, 10};

/* A network that is no Transformer: three linear maps with biases, ReLU between them. */
typedef struct {
    Parameter parameters[PARAMETERS]; /* weight and bias of each layer */
    Tensor activation[LAYERS + 1];    /* what each layer reads, and the output */
    Tensor gradient[LAYERS + 1];
} Network;

static ParameterList parameters_of(Network *network)
{
    return (ParameterList){network->parameters, PARAMETERS};
}

static Parameter parameter_like(const char *name, Tensor value, uint64_t seed)
{
    hash_weights(value, name, seed);
    return (Parameter){.name = name,
                       .value = value,
                       .grad = filled_like(0, value),
                       .first_moment = filled_like(0, value),
                       .second_moment = filled_like(0, value)};
}

static void network_init(Network *network, uint64_t seed)
{
    static const char *const names[PARAMETERS] = {"fc1.weight", "fc1.bias",   "fc2.weight",
                                                  "fc2.bias",   "fc3.weight", "fc3.bias"};
    for (size_t l = 0; l < LAYERS; l++) {
        const size_t weight[] = {WIDTH[l + 1], WIDTH[l]}, bias[] = {WIDTH[l + 1]};
        network->parameters[2 * l] = parameter_like(names[2 * l], filled_of(0, 2, weight), seed);
        network->parameters[2 * l + 1] = parameter_like(names[2 * l + 1], filled_of(0, 1, bias), seed);
    }
    for (size_t l = 0; l <= LAYERS; l++) {
        network->activation[l] = filled_of(0, 1, &WIDTH[l]);
        network->gradient[l] = filled_of(0, 1, &WIDTH[l]);
    }
}

static void forward(Network *network)
{
    for (size_t l = 0; l < LAYERS; l++) {
        const float *x = network->activation[l].data, *weight = network->parameters[2 * l].value.data;
        const float *bias = network->parameters[2 * l + 1].value.data;
        for (size_t row = 0; row < WIDTH[l + 1]; row++) {
            float sum = bias[row];
            for (size_t i = 0; i < WIDTH[l]; i++)
                sum += weight[row * WIDTH[l] + i] * x[i];
            network->activation[l + 1].data[row] = l + 1 < LAYERS && sum < 0 ? 0 : sum;
        }
    }
}

/* From gradient[LAYERS] down; a ReLU that gave 0 passes nothing on. */
static void backward(Network *network)
{
    for (size_t l = LAYERS; l-- > 0;) {
        const float *x = network->activation[l].data, *weight = network->parameters[2 * l].value.data;
        float *grad_x = network->gradient[l].data, *grad_weight = network->parameters[2 * l].grad.data;
        tensor_fill(network->gradient[l], 0);
        for (size_t row = 0; row < WIDTH[l + 1]; row++) {
            const float grad = network->gradient[l + 1].data[row];
            network->parameters[2 * l + 1].grad.data[row] = grad;
            for (size_t i = 0; i < WIDTH[l]; i++) {
                grad_weight[row * WIDTH[l] + i] = grad * x[i];
                grad_x[i] += l > 0 && x[i] <= 0 ? 0 : grad * weight[row * WIDTH[l] + i];
            }
        }
    }
}

/* Steps first + 1 .. last on the loss sum((y - network(x))^2) with x and y of the hash. */
static void train(Network *network, size_t first, size_t last)
{
    for (size_t step = first + 1; step <= last; step++) {
        float y[10];
        hash_normal(network->activation[0].data, WIDTH[0], "x", step, 0.5, 0.3);
        hash_normal(y, WIDTH[LAYERS], "y", step, 0.5, 0.3);
        forward(network);
        for (size_t i = 0; i < WIDTH[LAYERS]; i++)
            network->gradient[LAYERS].data[i] = 2 * (network->activation[LAYERS].data[i] - y[i]);
        backward(network);
        assert_ok(run_adamw(parameters_of(network), step, 1e-3, 0.9, 0.999, 1e-8, 0.01));
    }
}

static void assert_same_state(const char *when, const Network *actual, const Network *expected)
{
    for (size_t i = 0; i < PARAMETERS; i++) {
        const Parameter *a = &actual->parameters[i], *b = &expected->parameters[i];
        test_label("%s, after %s", b->name, when);
        ck_assert_str_eq(a->name, b->name);
        assert_allclose(a->value, b->value, 1e-7, 0);
        assert_allclose(a->first_moment, b->first_moment, 1e-5, 1e-8);
        assert_allclose(a->second_moment, b->second_moment, 1e-5, 1e-8);
    }
}

START_TEST(test_checkpointing)
{
    Network saved, loaded;
    const char *path = temp_path("checkpoint");
    network_init(&saved, 42);
    train(&saved, 0, ITERATIONS);
    assert_ok(run_save_checkpoint(parameters_of(&saved), ITERATIONS, path));

    size_t iteration = 0;
    network_init(&loaded, 43);
    train(&loaded, 0, 1);
    assert_ok(run_load_checkpoint(&iteration, path, parameters_of(&loaded)));
    ck_assert_uint_eq(iteration, ITERATIONS);
    assert_same_state("loading", &loaded, &saved);

    train(&saved, ITERATIONS, ITERATIONS + MORE_ITERATIONS);
    train(&loaded, iteration, iteration + MORE_ITERATIONS);
    assert_same_state("more steps", &loaded, &saved);
}
END_TEST

const TestCase serialization_tests[] = {
    TEST(test_checkpointing, "checkpointing"),
    {0},
};
