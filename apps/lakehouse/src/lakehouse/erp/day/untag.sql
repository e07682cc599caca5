-- One product loses a tag: $1 seed.
delete from product_tag_product_template_rel
where (product_template_id, product_tag_id) = (
    select
        product_template_id,
        product_tag_id
    from product_tag_product_template_rel
    order by md5(product_template_id::text || ':' || $1::text)
    limit 1
)
returning product_template_id, product_tag_id;
