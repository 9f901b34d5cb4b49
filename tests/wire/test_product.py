import stripe


def test_a_created_product_is_read_back_the_same(client: stripe.StripeClient) -> None:
    created = client.v1.products.create({"name": "Tokens", "metadata": {"tier": "gold"}})

    assert client.v1.products.retrieve(created.id) == created
    assert created.name == "Tokens"
    assert created.metadata.to_dict() == {"tier": "gold"}
